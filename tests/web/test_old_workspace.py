import json

from tiny_page import OTHER, POINTS, open_page


def test_a_workspace_of_version_1_opens_with_its_masks(tiny_clip, tmp_path):
    """Its undo history, which is about the older document, starts again."""
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    page.points(0, 1, OTHER)
    before = page.mask(0)
    page.service.close()
    path = work / "annotations.json"
    content = path.read_text().replace('"version": 2', '"version": 1').replace('"made_by"', '"engine"')
    path.write_text(content)
    journal = work / "history" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"made_by"', '"engine"'))
    page = open_page(tiny_clip, work, objects=0)
    state = page.state()
    assert state["keyframes"]["0"]["objects"]["1"]["points"] == OTHER
    assert (page.mask(0) == before).all()
    page.points(0, 1, POINTS)
    page.post("/api/undo")
    page.post("/api/undo")
    assert json.loads(path.read_text())["version"] == 2
