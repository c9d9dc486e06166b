import errno
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dextr_vos.errors import WeightsError
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import dextr_head, load_into, read_state_dict, save
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.osvos import Osvos


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def write_zip(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path)


def write_legacy(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def write_as_pytorch_0_3(state: dict[str, Tensor], path: Path) -> None:
    """As the authors' files are: prefixed, without counts, tensors on a GPU, rebuilt by 0.3's function."""

    class OldTensor:
        def __init__(self, tensor: Tensor, key: str) -> None:
            self.tensor, self.key = tensor.contiguous(), key

        def __reduce__(self):
            shape, stride = tuple(self.tensor.shape), self.tensor.stride()
            return torch._utils._rebuild_tensor, (self, 0, shape, stride)

    class Pickler(pickle.Pickler):
        depth = 0

        def persistent_id(self, thing: object):
            # a tensor is met twice: first to be reduced, then as the storage in its own arguments
            if not isinstance(thing, OldTensor):
                return None
            thing.met = getattr(thing, "met", 0) + 1  # type: ignore[attr-defined]
            if thing.met == 1:
                return None
            return "storage", torch.FloatStorage, thing.key, "cuda:0", thing.tensor.numel(), None

    kept = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    old = OrderedDict((f"module.{k}", OldTensor(v, str(i))) for i, (k, v) in enumerate(kept.items()))
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(header, file, protocol=2)
        Pickler(file, protocol=2).dump(old)
        pickle.dump([tensor.key for tensor in old.values()], file, protocol=2)
        for tensor in old.values():
            file.write(tensor.tensor.numel().to_bytes(8, "little"))
            file.write(tensor.tensor.numpy().tobytes())


@pytest.mark.parametrize("write", [write_zip, write_legacy, save_file])
@pytest.mark.parametrize("name", ["a.pth", "b.safetensors.pth", "no suffix"])
def test_every_format_is_read_by_what_it_holds(write: Callable, name: str, tmp_path: Path) -> None:
    state = tiny().state_dict()
    write(state, tmp_path / name)
    assert_same(read_state_dict(tmp_path / name), state)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_prefix_and_wrapping_are_taken_off(write: Callable, tmp_path: Path) -> None:
    state = tiny().state_dict()
    path = tmp_path / "a.pth"
    write({"epoch": 3, "state_dict": OrderedDict((f"module.{k}", v) for k, v in state.items())}, path)
    assert_same(read_state_dict(path), state)


def test_files_of_pytorch_0_3_are_read(tmp_path: Path) -> None:
    source, network = tiny(), tiny()
    path = tmp_path / "parent.pth"
    write_as_pytorch_0_3(source.state_dict(), path)
    state = read_state_dict(path)
    assert not any(key.endswith("num_batches_tracked") for key in state)
    load_into(network, state, path)
    assert_same(network.state_dict(), source.state_dict())


def test_length_that_reads_like_a_web_page_does_not_mislead(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save(path, {"a": torch.ones(2)})
    content = path.read_bytes()
    old = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(b" <\0\0\0\0\0\0" + content[8:old].ljust(0x3C20) + content[old:])
    assert_same(read_state_dict(path), {"a": torch.ones(2)})


def test_parameters_come_as_plain_tensors(tmp_path: Path) -> None:
    torch.save(dict(tiny().named_parameters()), tmp_path / "a.pth")
    assert not any(tensor.requires_grad for tensor in read_state_dict(tmp_path / "a.pth").values())


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


def zip_of(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"\xef\xbb\xbf\n <html>login</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "Keras"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "MATLAB file; of those only vgg_caffe.mat is read"),
        (b"\x1f\x8b\x08\x00" + bytes(100), "gzip archive"),
        (zip_of(["parent_epoch-239.pth", "README"]), "archive of parent_epoch-239.pth, README; unpack"),
        (b"PK\x03\x04" + bytes(500), "cut short or broken"),
        (b"not a checkpoint at all", "not a checkpoint or is broken"),
        (bytes(range(256)) * 4, "not a checkpoint or is broken"),
        (bytes(8) + b"{}", "fetch it again"),
    ],
    # an archive holds the time it was made: as a name it would differ between the processes of a test run
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_files_that_are_no_checkpoints_are_told_apart(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "dextr.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [write_zip, write_legacy, save_file])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_cut_short_files_are_told(write: Callable, kept: float, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    write({str(i): torch.rand(40, 40) for i in range(5)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match="fetch it again") as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


def write_pickle(thing: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(thing))


def write_newest_pickle(thing: object, path: Path) -> None:
    torch.save(thing, path, pickle_protocol=5)


@pytest.mark.parametrize("write", [write_zip, write_legacy, write_pickle, write_newest_pickle])
def test_code_in_a_checkpoint_is_not_run(
    write: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write({"weight": torch.zeros(1), "other": Intruder()}, tmp_path / "a.pth")
    with pytest.raises(
        WeightsError, match=r"(more than tensors \(.*mkdir\)|Python pickle).* not loaded.* alone"
    ):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "intruded").exists()


def test_a_whole_network_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(tiny(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn.*save network\.state_dict\(\) alone"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ([torch.zeros(1)], "holds a list"),
        ({}, "expected tensors by their names"),
        ({"weight": torch.zeros(1), "epoch": 3}, "holds a int at 'epoch'"),
        ({3: torch.zeros(1)}, "at 3"),
    ],
)
def test_other_contents_are_refused(thing: object, message: str, tmp_path: Path) -> None:
    torch.save(thing, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / "a.pth")


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    for read in (read_state_dict, read_metadata):
        with pytest.raises(WeightsError, match="there is no checkpoint"):
            read(tmp_path / "absent.pth")
        with pytest.raises(WeightsError, match="Is a directory"):
            read(tmp_path)


def test_all_that_does_not_fit_is_told_at_once_and_nothing_is_loaded() -> None:
    network, other = tiny(), tiny()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state = other.state_dict()
    state["0.bias"] = torch.zeros(7)
    del state["1.weight"], state["1.bias"]
    state |= {f"extra{i}": torch.zeros(1) for i in range(5)}
    with pytest.raises(WeightsError) as caught:
        load_into(network, state, Path("some/file.pth"))
    assert str(caught.value) == (
        "some/file.pth does not fit the network Sequential: 2 missing (1.weight, 1.bias); "
        "5 unexpected (extra0, extra1, extra2, …); 1 of another shape (0.bias (7,) instead of (4,)); "
        "take the checkpoint that was made for this network"
    )
    assert_same(network.state_dict(), before)
    load_into(network, other.state_dict(), "the other")
    assert_same(network.state_dict(), other.state_dict())


def test_a_compressed_archive_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(WeightsError, match=r"is compressed, which torch\.save never does"):
        read_state_dict(tmp_path / "b.pth")


def test_a_damaged_directory_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(2)}, path)
    whole = path.read_bytes()
    start, refused = whole.index(b"PK\x01\x02"), 0
    for place in range(start, start + 46):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_state_dict(path)
        except WeightsError:
            refused += 1
    assert refused > 10


def test_heads_are_told_by_their_keys() -> None:
    with torch.device("meta"):
        psp, atrous = Dextr("psp", blocks=(1, 1, 1, 1)), Dextr("atrous", blocks=(1, 1, 1, 1))
    assert dextr_head(psp.state_dict()) == "psp"
    assert dextr_head(atrous.state_dict()) == "atrous"
    assert dextr_head(Osvos().state_dict()) is None
    with pytest.raises(WeightsError, match="has the atrous head, make the network with head='atrous'"):
        load_into(psp, atrous.state_dict(), "dextr.pth")


def test_saved_weights_and_settings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "network.safetensors"
    network = tiny()
    save(path, network.state_dict(), {"settings": '{"steps": 3}', "who": "ä"})
    assert_same(read_state_dict(path), network.state_dict())
    assert read_metadata(path) == {"settings": '{"steps": 3}', "who": "ä"}
    assert list(path.parent.iterdir()) == [path]
    save(path, {"a": torch.zeros(3).expand(2, 3), "b": torch.ones(4, 4)[:, 1], "c": network[0].weight})
    assert read_metadata(path) == {}
    assert read_state_dict(path)["a"].shape == (2, 3)


def test_the_same_weights_and_settings_are_the_same_bytes(tmp_path: Path) -> None:
    settings, path = dict.fromkeys("qwertyuiop", "ä"), tmp_path / "a.safetensors"
    state = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2])}
    written = set()
    for _ in range(4):
        save(path, state, settings)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    assert read_metadata(path) == settings
    assert_same(read_state_dict(path), state)


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    save(tmp_path / "a.safetensors", {"a": shared, "b": shared})
    assert_same(read_state_dict(tmp_path / "a.safetensors"), {"a": shared, "b": shared})


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save(path, {"a": torch.ones(1)})

    def full_disk(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left") as fault:
        save(path, {"a": torch.zeros(1)})
    assert fault.value.filename == str(path)  # which the command line tells
    assert_same(read_state_dict(path), {"a": torch.ones(1)})
    assert list(tmp_path.iterdir()) == [path]


def test_settings_are_read_from_safetensors_only(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_metadata(tmp_path / "a.pth")
    (tmp_path / "b.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{ cut")
    with pytest.raises(WeightsError, match="fetch it again"):
        read_metadata(tmp_path / "b.safetensors")
