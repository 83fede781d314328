"""What diagnoses with classified spectra have in common: each spectrum as a drawing."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class DrawnSpectra:
    """A result whose fields `ca`, `cp` and `cp_reverse` are classified spectra."""

    def plot(self, ax: "Axes | None" = None, *, spectrum: str = "ca") -> "Axes":
        """Draw one of the classified spectra; `plot_diagnosis` draws all of them.

        Args:
            ax: where to draw; new axes by default.
            spectrum: "ca", "cp" or "cp_reverse": that of alignment, of prediction of y, or of x.

        Returns:
            The axes of the values.
        """
        from phasejax.diagnosis._plots import draw_spectrum

        return draw_spectrum(cast(Any, self), ax, spectrum)
