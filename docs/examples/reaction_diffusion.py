# SPDX-License-Identifier: MIT
"""Two substances that react and spread, watched in a window while numba computes them.

    python docs/examples/reaction_diffusion.py [--steps N] [--size N] [--python ENV]
                                               [--record FILE.gif]

The model is that of Gray and Scott, as in J. E. Pearson, "Complex Patterns in a Simple System",
Science 261 (1993), 189-192:

    du/dt = Du lap(u) - u v^2 + F (1 - u)          U + 2V -> 3V, V -> P
    dv/dt = Dv lap(v) + u v^2 - (F + k) v

with his diffusion (Du = 2e-5, Dv = 1e-5 on a square of 2.5, periodic), in steps of 1 by Euler's
method. The slider in the window changes F while it runs, and a click drops some V there.
"""

import argparse
import queue

import numba
import numpy as np

DU, DV = 2e-5, 1e-5
SIDE = 2.5  # of the square, at 256 cells: another size has the same cells, and another side
CELL = SIDE / 256
KILL = 0.06
SHOWN_EVERY = 10  # steps: how often the window may have a newer frame
MEANS_EVERY = 50


@numba.njit
def advance(u, v, next_u, next_v, feed, kill):
    """One step of u and v, float64 (n, n), into next_u and next_v."""
    n = u.shape[0]
    du, dv = DU / CELL**2, DV / CELL**2
    for i in range(n):
        up, down = (i - 1) % n, (i + 1) % n
        for j in range(n):
            left, right = (j - 1) % n, (j + 1) % n
            here_u, here_v = u[i, j], v[i, j]
            lap_u = u[up, j] + u[down, j] + u[i, left] + u[i, right] - 4.0 * here_u
            lap_v = v[up, j] + v[down, j] + v[i, left] + v[i, right] - 4.0 * here_v
            reaction = here_u * here_v * here_v
            next_u[i, j] = here_u + du * lap_u - reaction + feed * (1.0 - here_u)
            next_v[i, j] = here_v + dv * lap_v + reaction - (feed + kill) * here_v


class Reaction:
    """The state. `feed` may be set between two steps."""

    def __init__(self, size=256, feed=0.037):
        self.feed = feed
        self.u, self.v = np.ones((size, size)), np.zeros((size, size))
        self._next = np.empty_like(self.u), np.empty_like(self.v)
        self.drop(size // 2, size // 2)

    def drop(self, row, column, radius=10):
        """Puts V around a cell, as Pearson does: u = 1/2, v = 1/4."""
        rows, columns = np.ogrid[: len(self.u), : len(self.u)]
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        self.u[disc], self.v[disc] = 0.5, 0.25

    def step(self):
        advance(self.u, self.v, *self._next, self.feed, KILL)
        (self.u, self.v), self._next = self._next, (self.u, self.v)


def watch(plot, reaction, steps, on_frame=None):
    """Computes, and shows what there is; gives the means of v, (n, 2): step, mean."""
    wishes = queue.SimpleQueue()  # what the user does comes on another thread
    plot.on("feed", lambda feed: wishes.put(lambda: setattr(reaction, "feed", feed)))

    @plot.on_click
    def clicked(event):
        if event.axes == 0:  # the pattern
            at = round(event.ydata), round(event.xdata)
            wishes.put(lambda: reaction.drop(*at))

    means = np.zeros((steps // MEANS_EVERY, 2))
    for step in range(1, steps + 1):
        while not wishes.empty():
            wishes.get()()
        reaction.step()
        if step % MEANS_EVERY == 0:
            means[step // MEANS_EVERY - 1] = step, reaction.v.mean()
        if step % SHOWN_EVERY == 0:
            plot.update(reaction.v, step=step, means=means[: step // MEANS_EVERY])
        if on_frame is not None:
            on_frame(step)
    return means


def recorder(plot, every, pictures):
    """Takes a picture of the window every so many steps: only then is the window waited for."""

    def on_frame(step):
        if step % every == 0:
            pictures.append(plot.snapshot()[..., :3])

    return on_frame


def write_gif(path, pictures):
    from PIL import Image

    small = [Image.fromarray(each).resize((588, 322), Image.LANCZOS) for each in pictures]
    frames = [each.quantize(32, dither=Image.Dither.NONE) for each in small]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=90, loop=0)


def main():
    from ringbridge.plot import Plotter

    parser = argparse.ArgumentParser(description="A reaction, watched while it is computed.")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=256, help="cells in each direction")
    parser.add_argument("--python", metavar="ENV", help="the window's environment")
    parser.add_argument("--record", metavar="FILE.gif")
    options = parser.parse_args()
    reaction = Reaction(options.size)
    with Plotter("pattern_view:Pattern", python=options.python, name="pattern") as plot:
        pictures = []
        every = max(options.steps // 42, 1)
        watch(plot, reaction, options.steps, options.record and recorder(plot, every, pictures))
        plot.wait()
        if options.record:
            write_gif(options.record, pictures)
        print(plot.stats())


if __name__ == "__main__":
    main()
