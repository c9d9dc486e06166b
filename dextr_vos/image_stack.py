"""A stack as a clip: the images of one file, a multi-page TIFF, or an animated WebP or AVIF."""

from contextlib import ExitStack
from pathlib import Path
from weakref import finalize

from dextr_vos.clip import DEFAULT_FPS, Clip, frame_numbers
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb, decode_rgb, image_errors, open_image, read_header, warn_once
from dextr_vos.pixel_levels import Levels, load_levels, range_in_use


class StackClip(Clip):
    """The images of one file, named `00000`, `00001` and so on.

    Reading forward is quick. An animated WebP or AVIF holds differences between images, so reading backward
    decodes from the start. Pages of another size than the first are left out, with a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, (path,)
        header = read_header(path)
        self._pages, self.size_hw = header.pages, header.size_hw
        self.names = frame_numbers(len(self._pages))
        self._opened, self._closed = ExitStack(), False
        finalize(self, self._opened.close)  # a clip that is let go closes its file
        self._image = self._opened.enter_context(open_image(path))
        count = getattr(self._image, "n_frames", len(self._pages))
        if count > len(self._pages) and self._image.format == "TIFF":
            warn_once(
                f"{path} holds {count} images, of which {len(self._pages)} are frames: those of the size of "
                "the first that are no smaller copies"
            )
        try:
            self.fps = self._rate()
            self._used = range_in_use(path, map(self._levels, self._pages)) if header.deep else None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `Clip.close`."""
        self._closed = True
        self._opened.close()

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        if self._closed:
            raise InputError(f"the file {self.path} was closed; open it again to read frames")
        with image_errors(self.path):
            self._image.seek(self._pages[index])
            return decode_rgb(self._image, self.path, self._used)

    def _rate(self) -> float:
        """Images per second, by the duration of the first one."""
        if self._image.format not in ("WEBP", "AVIF"):
            return DEFAULT_FPS
        with image_errors(self.path):
            self._image.load()  # before, the duration is not known
        duration_ms = self._image.info.get("duration", 0)
        return 1000 / duration_ms if duration_ms else DEFAULT_FPS

    def _levels(self, page: int) -> Levels | None:
        with image_errors(self.path):
            self._image.seek(page)
            return load_levels(self._image, self.path)
