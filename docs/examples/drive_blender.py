# SPDX-License-Identifier: MIT
"""A notebook that drives Blender; each `# %%` is a cell. See docs/how-to/drive-blender.md."""

# %% Meet Blender
import numpy as np

import ringbridge as rb

blender = rb.connect("blender")
tools = blender.load("scene_tools")

# %% A cube, and a handle on it: the object itself stays in Blender
cube = tools.add_cube("From the notebook", size=1.5, location=(0, 0, 1.5))
cube.rotation_euler.z = 0.6
print(f"{cube.name} at {cube.location.z:.1f} m, selected: {cube.select_get()}")

# %% A mesh's vertices: an array in memory that both processes see
tools.remove("Cube")  # the one that Blender begins with
grid = tools.add_grid("Waves", points=300, size=12)
vertices = tools.vertices(grid.name)
print(f"{len(vertices):,} vertices, {vertices.nbytes:,} bytes")

# %% Compute on it here, in place, and give it back
distance = np.hypot(vertices[:, 0], vertices[:, 1])
vertices[:, 2] = 0.3 * np.cos(5 * distance) * np.exp(-distance / 4)
tools.move_vertices(grid.name, vertices)

# %% A rendered image, as an array: imshow(image[::-1]) shows it
image = tools.render(480, 320)
print(f"an image of {image.shape}, its mean brightness {image[..., :3].mean():.2f}")
