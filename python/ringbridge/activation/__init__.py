# SPDX-License-Identifier: MIT
"""Which environment variables the other interpreter gets: the host's, scrubbed; the environment's;
and what the user sets.

    host's --scrub--> --PATH, CONDA_*--> --its files' variables--> --scripts (cached)--> + user's
           (variables)                   (conda, pixi: a recipe)   (scripts, cache)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Literal

from ringbridge.activation import cache, conda, variables
from ringbridge.activation.process import Patience
from ringbridge.activation.recipe import Recipe
from ringbridge.environment import Environment, is_conda, is_venv
from ringbridge.plan import Wishes

__all__ = ["SCRIPTS_S", "Activation", "environ_for"]

SCRIPTS_S = 30.0  # for all of an environment's scripts

Source = Literal["no scripts", "run now", "kept", "captured from a shell"]


def environ_for(
    environment: Environment,
    base: Mapping[str, str],
    wishes: Wishes | None = None,
    *,
    timeout_s: float = SCRIPTS_S,
    abandoned: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """The variables for a process of `environment`, started from one that has `base`.

    Runs the environment's activation scripts, unless their effect is in the user's cache. Raises
    ActivationFailed. `abandoned` is asked while they run: True ends them.
    """
    patience = Patience.of(timeout_s, abandoned)
    return Activation(environment, base, wishes, patience).environ()


class Activation:
    """One environment's activation, for a process that has the variables `base`.

    recipe  what its files say
    before  the variables that its scripts begin with
    source  after environ(): where the scripts' effect came from
    unkept  after environ(): why their effect could not be kept; empty when it could
    said    after run(): what the scripts printed

    Raises ActivationFailed for a file that is not what it has to be.
    """

    def __init__(
        self,
        environment: Environment,
        base: Mapping[str, str],
        wishes: Wishes | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._environment = environment
        self._base = base
        self._wishes = wishes or Wishes()
        self._patience = patience or Patience.of(SCRIPTS_S)
        self.before = self._of_host()
        self._static = variables.of_environment(environment, self.before)
        self.before.update(self._static)
        self.recipe = self._recipe()
        for name, value in self.recipe.variables.items():
            if value is None:
                self.before.pop(name, None)
            else:
                self.before[name] = value
        self.source: Source = "no scripts"
        self.said = ""
        self.unkept = ""

    def _of_host(self) -> dict[str, str]:
        """The host's variables, scrubbed; and without what another environment, which is active in
        the host, has set."""
        keep = self._wishes.keep_environ
        result = variables.scrubbed(self._base, keep)
        for name in ("CONDA_PREFIX", "VIRTUAL_ENV"):
            active = self._base.get(name, "").rstrip("/")
            if not os.path.isabs(active) or active == self._environment.prefix:
                continue
            if not (is_conda(active) or is_venv(active)):  # not everything below /usr, say
                continue
            for variable, value in conda.variables_of(active).items():
                if result.get(variable) == value and not variables.matches(variable, keep):
                    del result[variable]
            result = variables.without_places_in(active, result, keep)
        return result

    def _recipe(self) -> Recipe:
        recipe = Recipe()
        if self._environment.kind in ("conda", "pixi"):
            conda.read(self._environment.prefix, recipe)
        if self._environment.kind == "pixi":
            from ringbridge.activation import pixi

            pixi.read(self._environment, recipe, self.before, self._patience)
        return recipe

    def environ(self) -> dict[str, str]:
        """The variables for the process. Raises ActivationFailed."""
        result = self._after_scripts()
        keep = self._wishes.keep_environ
        for name, value in self._base.items():
            if variables.matches(name, keep) and name not in self._static:
                result[name] = value
        if self._wishes.threads is not None:
            result.update(dict.fromkeys(variables.THREAD_COUNTS, str(self._wishes.threads)))
        result.update(self._wishes.environ)
        return result

    def _after_scripts(self) -> dict[str, str]:
        entry = cache.load(self._environment.prefix)
        known = entry.applied(self.before, self.recipe) if entry else None
        if entry is not None and known is not None:
            self.source = "captured from a shell" if entry.by_hand else "kept"
            return known
        if not self.recipe.needs_shell:
            return dict(self.before)
        after, fresh = self.run()
        self.source = "run now"
        try:
            cache.store(fresh)
        except OSError as error:  # without a cache it is done again next time
            self.unkept = str(error)
        return after

    def run(self) -> tuple[dict[str, str], cache.Entry]:
        """Runs the scripts, whatever is kept: the variables after them, and what to keep of it.

        Raises ActivationFailed.
        """
        from ringbridge.activation import scripts

        seen = scripts.names_in(self.recipe)  # before they run: one may write into another
        after, self.said = scripts.variables_after(self.recipe, self.before, self._patience)
        return after, cache.Entry.of(
            self._environment.prefix,
            self.recipe,
            changes=cache.differences(self.before, after),
            seen={name: self.before.get(name) for name in seen},
        )

    def differs(self, entry: cache.Entry) -> list[str]:
        """The variables that the scripts would leave with other values now than the entry says.

        Those that get another value at each run do not count. None are told where the entry would
        not be taken. Raises ActivationFailed.
        """
        known = entry.applied(self.before, self.recipe)
        if known is None or entry.by_hand or not self.recipe.needs_shell:
            return []
        first, second = self.run()[0], self.run()[0]
        restless = cache.differences(first, second)
        return [name for name in cache.differences(known, first) if name not in restless]
