"""One house style for every figure: colours, axes, labels at line ends, theory dashed, seeds as bands, stable
files.

The lowest floor: imports nothing of optlab, and matplotlib only inside functions. Nothing here changes the
caller's backend or rcParams: the style is a context (`house_style`, or `user_style`, in which the caller's own settings
win), and files are written without a window or pyplot.

The palette alternates dark and light, so that neighbouring lines stay apart in grey; `style` adds a line
style and a marker for plots that will be printed.
"""

from optlab.plotting.axes import log_axes, symlog_axis
from optlab.plotting.curves import seed_band, theory_line
from optlab.plotting.files import save, to_bytes
from optlab.plotting.labels import label_lines, name_lines
from optlab.plotting.style import (
    GRID_COLOR,
    INK,
    LINESTYLES,
    MARKERS,
    PALETTE,
    THEORY_COLOR,
    cycle_style,
    figure_size,
    house_style,
    new_axes,
    rc,
    style,
    user_style,
)

__all__ = [
    "GRID_COLOR",
    "INK",
    "LINESTYLES",
    "MARKERS",
    "PALETTE",
    "THEORY_COLOR",
    "cycle_style",
    "figure_size",
    "house_style",
    "label_lines",
    "log_axes",
    "name_lines",
    "new_axes",
    "rc",
    "save",
    "seed_band",
    "style",
    "symlog_axis",
    "theory_line",
    "to_bytes",
    "user_style",
]
