# SPDX-License-Identifier: MIT
"""The window of reaction_diffusion.py: the pattern, how much of V there is, and a slider.

An ordinary class, imported in the viewer. Only the last line of `__init__` knows ringbridge.
"""

from matplotlib import pyplot
from matplotlib.widgets import Slider

from ringbridge.plot import emit


class Pattern:
    def __init__(self):
        self.figure = pyplot.figure(figsize=(8.4, 4.6), layout=None)
        self.picture = self.figure.add_axes((0.02, 0.16, 0.50, 0.76))
        self.curve = self.figure.add_axes((0.64, 0.30, 0.33, 0.62))
        self.picture.set_axis_off()
        self.curve.set_xlabel("step")
        self.curve.set_title("mean of V", fontsize=10)
        self.curve.grid(alpha=0.3)
        (self.line,) = self.curve.plot([], [], color="#7a0177")
        self.image = None
        place = self.figure.add_axes((0.64, 0.06, 0.26, 0.05))
        self.feed = Slider(place, "feed", 0.01, 0.08, valinit=0.037, color="#c51b8a")
        self.feed.on_changed(lambda value: emit("feed", float(value)))

    def draw(self, v, *, step, means):
        if self.image is None:
            self.image = self.picture.imshow(v, cmap="RdPu", vmin=0.0, vmax=0.4)
        self.image.set_data(v)
        self.picture.set_title(f"step {step}", fontsize=10)
        self.line.set_data(*means.T)
        self.curve.relim()
        self.curve.autoscale_view()
