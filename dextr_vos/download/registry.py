"""What `dextr-vos download` knows: addresses, checksums, and where each file goes.

Addresses are those that the authors publish. Checksums are those that torchvision, TensorFlow Datasets and
the DAVIS scripts check; the authors of DEXTR and OSVOS publish none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dextr_vos.errors import InputError

_DEXTR = "https://data.vision.ee.ethz.ch/kmaninis/share/DEXTR/Downloads/models/"
_DEXTR_KERAS = "https://data.vision.ee.ethz.ch/csergi/share/DEXTR/"
_OSVOS = "https://data.vision.ee.ethz.ch/kmaninis/share/OSVOS/Downloads/models/"
_COCO = "http://images.cocodataset.org/"


@dataclass(frozen=True)
class PublishedFile:
    """A file that can be downloaded.

    Attributes:
        name: of the file, without its folder.
        address: the folder it is published in, which ends in a slash.
        size_mb: about how large it is, in millions of bytes; more than twice as much is refused.
        becomes: the folder, or for a single file the file, that it becomes below `--out`.
        inside: the folder or file of the archive that becomes that, "" for all of it; None for no archive.
        checksum: "sha256:…" or "md5:…"; "" where none is published.
    """

    name: str
    address: str
    size_mb: int
    becomes: str
    inside: str | None = None
    checksum: str = ""


def _weights(name: str, address: str, size_mb: int) -> PublishedFile:
    return PublishedFile(name, address, size_mb, f"weights/{name}")


def _coco(name: str, kind: str, size_mb: int, folder: str, sha256: str) -> PublishedFile:
    return PublishedFile(name, f"{_COCO}{kind}/", size_mb, f"coco/{folder}", folder, f"sha256:{sha256}")


_PARENT = PublishedFile(
    "pth_parent_model.zip", _OSVOS, 57, "weights/parent_epoch-239.pth", "parent_epoch-239.pth"
)
_DEXTR_PTH = [_weights(f"dextr_{data}.pth", _DEXTR, 196) for data in ("pascal-sbd", "pascal", "coco")]

# files by the name of what they make up, in the order of the command's help
SETS: dict[str, Sequence[PublishedFile]] = {
    "weights": (*_DEXTR_PTH, _PARENT),
    "davis2016": (
        PublishedFile(
            "DAVIS-data.zip",
            "https://graphics.ethz.ch/Downloads/Data/Davis/",
            1900,
            "DAVIS-2016",
            "DAVIS",
            "md5:464ebb594dcbc34e012487f4cd0f8213",
        ),
    ),
    "davis2017": (
        PublishedFile(
            "DAVIS-2017-trainval-480p.zip",
            "https://data.vision.ee.ethz.ch/csergi/share/davis/",
            833,
            "DAVIS-2017",
            "DAVIS",
            "sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
        ),
    ),
    "voc": (
        PublishedFile(
            "VOCtrainval_11-May-2012.tar",
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
            2000,
            "VOCdevkit/VOC2012",
            "VOCdevkit/VOC2012",
            "sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    "sbd": (
        PublishedFile(
            "benchmark.tgz",
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/",
            1420,
            "benchmark_RELEASE",
            "benchmark_RELEASE",
            "md5:82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ),
    "coco": (
        _coco(
            "annotations_trainval2017.zip",
            "annotations",
            253,
            "annotations",
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        ),
        _coco(
            "val2017.zip",
            "zips",
            816,
            "val2017",
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
        _coco(
            "train2017.zip",
            "zips",
            19337,
            "train2017",
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
    ),
    "grabcut": (
        PublishedFile(
            "GrabCut.zip",
            "https://github.com/saic-vul/fbrs_interactive_segmentation/releases/download/v1.0/",
            11,
            "grabcut",
            "",
        ),
    ),
}
# files that belong to none of these
OTHERS = (
    _weights("dextr_pascal-sbd.h5", _DEXTR_KERAS, 197),
    PublishedFile("OSVOS_parent_model.zip", _OSVOS, 57, "weights/OSVOS_parent_model", ""),
    PublishedFile("vgg_mat.zip", _OSVOS, 57, "weights/vgg_mat", ""),
)

FILES = {file.name: file for files in (*SETS.values(), OTHERS) for file in files}


def published(names: Sequence[str]) -> list[PublishedFile]:
    """The files of some names, each once.

    Args:
        names: keys of `SETS`, and names of single files.

    Raises:
        InputError: there is no such set or file.
    """
    found: dict[str, PublishedFile] = {}
    for name in names:
        if name not in SETS and name not in FILES:
            near = get_close_matches(name, [*SETS, *FILES], n=1)
            advice = (
                f"did you mean {near[0]!r}?" if near else f"expected {', '.join(SETS)} or one of their files"
            )
            raise InputError(f"nothing to download is called {name!r}; {advice}")
        found |= {file.name: file for file in SETS.get(name) or (FILES[name],)}
    return list(found.values())
