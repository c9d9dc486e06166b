from itertools import chain, combinations

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels
from dextr_vos.propagation.keyframes import (
    AnnotatedClip,
    Span,
    keyframe_folder,
    keyframes_from_labels,
    read_keyframes,
    spans_between,
)


@pytest.fixture
def clip(tiny_clip):
    return open_clip(tiny_clip)


def test_masks_are_read_in_the_order_of_frames(clip, tmp_path):
    keyframes = read_keyframes(write_keyframes(tmp_path / "masks", 4, 0, 2), clip)
    assert [keyframe.index for keyframe in keyframes] == [0, 2, 4]
    assert [keyframe.name for keyframe in keyframes] == ["00000", "00002", "00004"]
    for keyframe in keyframes:
        assert np.array_equal(keyframe.labels, tiny_mask(keyframe.index))


def test_a_workspace_is_a_folder_with_keyframes(clip, tmp_path):
    write_keyframes(tmp_path / "work" / "keyframes", 1)
    write_keyframes(tmp_path / "work", 5)  # not in keyframes/, so it is none
    assert [keyframe.index for keyframe in read_keyframes(tmp_path / "work", clip)] == [1]


def test_black_and_white_masks_become_object_one(clip, tmp_path):
    (keyframe,) = read_keyframes(write_keyframes(tmp_path / "masks", 3, white=True), clip)
    assert np.array_equal(keyframe.labels, tiny_mask(3))


def test_other_files_are_passed_over(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    (folder / "notes.txt").write_text("mine")
    (folder / ".00001.x7.png").write_bytes(b"half a mask")
    (folder / "00002.png.bak").write_bytes(b"")
    assert [keyframe.index for keyframe in read_keyframes(folder, clip)] == [0]


def test_void_is_no_object(clip, tmp_path):
    labels = 3 * tiny_mask(0)
    labels[:5] = 255
    (tmp_path / "masks").mkdir()
    write_labels(tmp_path / "masks" / "00000.png", labels)
    keyframes = read_keyframes(tmp_path / "masks", clip)
    assert AnnotatedClip(clip, keyframes).object_ids == [3]
    assert (keyframes[0].labels[:5] == 255).all()


def test_objects_of_all_keyframes_count_and_empty_ones_are_welcome(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    write_labels(folder / "00002.png", 3 * tiny_mask(2))
    write_labels(folder / "00004.png", np.zeros((48, 64), dtype=np.uint8))
    keyframes = read_keyframes(folder, clip)
    assert AnnotatedClip(clip, keyframes).object_ids == [1, 3]
    assert len(keyframes) == 3


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("00006.png", tiny_mask(0), "00006.png belongs to no frame: .* has no frame '00006'.*'00005'"),
        ("0.png", tiny_mask(0), "belongs to no frame"),
        ("00000.png", tiny_mask(0)[:, 1:], "is 63×48 pixels, its frame is 64×48"),
        ("00000.png", tiny_mask(0).T, "is 48×64 pixels, its frame is 64×48"),
        ("00000.png", 0 * tiny_mask(0), "every mask of .* is empty"),
        ("00000.png", tiny_mask(0) * np.arange(100, 164, dtype=np.uint8), "grey levels"),
    ],
)
def test_masks_that_do_not_fit_are_refused(clip, tmp_path, name, image, message):
    save(tmp_path / "masks" / name, image)
    with pytest.raises(InputError, match=message):
        read_keyframes(tmp_path / "masks", clip)


def test_a_mask_of_void_alone_is_refused(clip, tmp_path):
    (tmp_path / "masks").mkdir()
    write_labels(tmp_path / "masks" / "00000.png", 255 * tiny_mask(0))
    with pytest.raises(InputError, match=r"every mask of .* is empty"):
        read_keyframes(tmp_path / "masks", clip)


def test_two_masks_of_one_frame_are_refused(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    write_labels(folder / "00000.PNG", tiny_mask(1))
    if len(list(folder.iterdir())) < 2:
        pytest.skip("this file system holds .png and .PNG for the same")
    with pytest.raises(InputError, match="two masks of the frame '00000'"):
        read_keyframes(folder, clip)


def test_missing_folders_and_broken_masks_are_described(clip, tmp_path):
    with pytest.raises(InputError, match=r"there are no keyframes .*nowhere"):
        read_keyframes(tmp_path / "nowhere", clip)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no mask PNGs.*00000.png"):
        read_keyframes(tmp_path / "empty", clip)
    folder = write_keyframes(tmp_path / "masks", 0)
    with pytest.raises(InputError, match=rf"masks/00000\.png is a file; give its folder {folder}$"):
        read_keyframes(folder / "00000.png", clip)
    (folder / "00001.png").write_bytes((folder / "00000.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"cannot read the mask .*00001.png"):
        read_keyframes(folder, clip)
    with pytest.raises(InputError, match=r"00000.png"):  # the frames themselves are no masks
        read_keyframes(clip.path, clip)


def test_the_folder_of_masks_is_that_of_the_workspace_or_the_folder_itself(tmp_path):
    write_keyframes(tmp_path / "work" / "keyframes", 0)
    assert keyframe_folder(tmp_path / "work") == tmp_path / "work" / "keyframes"
    assert keyframe_folder(tmp_path / "masks") == tmp_path / "masks"


def test_the_digest_changes_with_files_and_frames_and_nothing_else(clip, tmp_path):
    def digest(folder):
        return AnnotatedClip(clip, read_keyframes(tmp_path / folder, clip)).mask_digest

    def digest_of(folder, *indices, **options):
        write_keyframes(tmp_path / folder, *indices, **options)
        return digest(folder)

    assert digest_of("a", 0, 2) == digest_of("b", 0, 2)
    assert digest_of("a", 0, 2) != digest_of("white", 0, 2, white=True)  # keyframes are copied byte for byte
    digests = {digest_of("a", 0, 2), digest_of("c", 0), digest_of("d", 2), digest_of("e", 0, 2, 3)}
    one_pixel = tiny_mask(2)
    one_pixel[0, 0] = 1
    write_labels(tmp_path / "b" / "00002.png", one_pixel)
    digests.add(digest("b"))
    assert len(digests) == 5


def test_digests_of_keyframes_change_with_their_own_mask_or_frame_alone(tiny_clip, clip, tmp_path):
    masks = write_keyframes(tmp_path / "masks", 0, 2)
    before = AnnotatedClip(clip, read_keyframes(masks, clip)).digests
    assert list(before) == ["00000", "00002"]
    white = write_keyframes(tmp_path / "white", 0, 2, white=True)  # the same pixels
    assert AnnotatedClip(clip, read_keyframes(white, clip)).digests == before
    write_labels(masks / "00000.png", np.maximum(tiny_mask(0), tiny_mask(1)))
    after = AnnotatedClip(clip, read_keyframes(masks, clip)).digests
    assert (after["00000"] != before["00000"], after["00002"]) == (True, before["00002"])
    Image.fromarray(tiny_frame(3)).save(tiny_clip / "00002.png")
    assert AnnotatedClip(open_clip(tiny_clip), read_keyframes(masks, clip)).digests["00002"] != after["00002"]


def test_masks_in_memory_are_those_of_files(clip, tmp_path):
    read = read_keyframes(write_keyframes(tmp_path / "masks", 0, 5), clip)
    made = keyframes_from_labels({-1: tiny_mask(5), 0: tiny_mask(0).astype(bool)}, clip)
    assert [(each.index, each.name, each.path) for each in made] == [(0, "00000", None), (5, "00005", None)]
    for one, other in zip(read, made, strict=True):
        assert other.labels.dtype == np.uint8
        assert np.array_equal(one.labels, other.labels)
    assert AnnotatedClip(clip, read).digests == AnnotatedClip(clip, made).digests


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, r"at least one keyframe as \{frame index: H×W labels\}, got none"),
        ({6: tiny_mask(0)}, "keyframe indices from 0 to 5, or from -6 to -1, got 6"),
        ({-7: tiny_mask(0)}, "got -7"),
        ({True: tiny_mask(0)}, "got True"),
        ({"00000": tiny_mask(0)}, "got '00000'"),
        ({1.0: tiny_mask(0)}, "got 1.0"),
        (
            {0: tiny_mask(0).astype(np.float32)},
            "mask of frame 0 as H×W integers from 0 to 255 or bool, got float32",
        ),
        ({0: tiny_mask(0).tolist(), "1": tiny_mask(1)}, "got '1'"),
        ({0: tiny_mask(0)[1:]}, r"the frame's shape \(48, 64\), got \(47, 64\)"),
        ({0: tiny_mask(0)[None]}, r"of shape \(1, 48, 64\)"),
        ({0: 0 * tiny_mask(0), 1: 255 * tiny_mask(1)}, "no object but 255, which is void"),
        ({5: tiny_mask(5), -1: tiny_mask(5)}, r"one mask per frame, got two of one: indices \[-1, 5\]"),
    ],
)
def test_masks_in_memory_that_do_not_fit_are_refused(clip, labels, message):
    with pytest.raises(InputError, match=message):
        keyframes_from_labels(labels, clip)


def test_frames_are_read_again_only_when_many_others_were(clip, monkeypatch):
    reads = []
    monkeypatch.setattr(clip, "read", lambda index, read=clip.read: reads.append(index) or read(index))
    annotated = AnnotatedClip(clip, keyframes_from_labels({0: tiny_mask(0)}, clip))
    for _ in range(3):
        for index in (0, 3):
            assert np.array_equal(annotated.read(index), tiny_frame(index))
    assert reads == [0, 3]


@pytest.mark.parametrize(
    ("at_most", "indices"), [(1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (5, [0, 2, 4]), (6, range(6))]
)
def test_some_keyframes_are_spread_over_all(clip, at_most, indices):
    annotated = AnnotatedClip(
        clip, keyframes_from_labels({index: tiny_mask(index) for index in range(6)}, clip)
    )
    assert [each.index for each in annotated.some_keyframes(at_most)] == list(indices)


# every choice of keyframes, none and all among them, in clips of one to seven frames
CASES = [
    (count, keyframes)
    for count in range(1, 8)
    for keyframes in chain.from_iterable(combinations(range(count), size) for size in range(count + 1))
]


def frames_of(span: Span) -> list[int]:
    return list(range(span.first, span.last + 1))


def test_every_frame_is_a_keyframe_or_in_exactly_one_span():
    for count, keyframes in CASES:
        spans = spans_between(keyframes, count)
        inside = [index for span in spans for index in frames_of(span)]
        assert inside == [index for index in range(count) if index not in keyframes], (count, keyframes)
        assert all(span.first <= span.last for span in spans)


def test_a_span_has_the_nearest_keyframe_on_either_side():
    for count, keyframes in CASES:
        for span in spans_between(keyframes, count):
            for index in frames_of(span):
                assert span.before == max((each for each in keyframes if each < index), default=None)
                assert span.after == min((each for each in keyframes if each > index), default=None)


def test_the_order_of_keyframes_does_not_matter():
    assert spans_between([7, 2, 5], 10) == spans_between(iter([2, 5, 7]), 10)
    assert spans_between({3: "a", 0: "b"}, 6) == [Span(1, 2, 0, 3), Span(4, 5, 3, None)]


def test_another_keyframe_leaves_the_other_spans_unchanged():
    for count, keyframes in CASES:
        spans = spans_between(keyframes, count)
        for added in set(range(count)) - set(keyframes):
            now = spans_between([*keyframes, added], count)
            assert [span for span in spans if added not in frames_of(span)] == [
                span for span in now if added not in (span.before, span.after)
            ]


def test_the_nearer_keyframe_counts_more():
    span = Span(1, 3, 0, 4)
    assert [span.share_after(index) for index in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert [Span(5, 5, 4, 6).share_after(index) for index in (4, 5, 6)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("span", "share"), [(Span(0, 3, None, 4), 1.0), (Span(5, 8, 4, None), 0.0)])
def test_a_single_keyframe_counts_alone(span, share):
    assert {span.share_after(index) for index in frames_of(span)} == {share}
