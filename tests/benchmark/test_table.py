import pytest
from click.testing import CliRunner
from made_results import result, write_results

from dextr_vos.benchmark.report.page import write_report
from dextr_vos.benchmark.table import COLUMNS, compare, read_table
from dextr_vos.cli.main import main
from dextr_vos.errors import InputError


def rows(tmp_path, name, *results):
    out = write_results(tmp_path / name, results)
    write_report(out)
    return read_table(out)


def test_cells_of_both_are_compared_and_the_others_counted(tmp_path):
    one = rows(
        tmp_path,
        "a",
        result("bear", "gt", 1, 0.8),
        result("dog", "gt", 1, 0.7),
        result("dog", "gt", 3, 0.7),
    )
    other = rows(tmp_path, "b", result("bear", "gt", 1, 0.8), result("dog", "gt", 1, 0.5))
    compared = compare(one, other)
    (group,) = compared.groups
    assert (group.clips, compared.cells, compared.same) == (2, 2, 1)
    assert (compared.only_one, compared.only_other) == (1, 0)
    assert (group.one, group.other, group.gap.mean) == pytest.approx((75, 65, -10))
    assert list(compared.clips) == ["dog", "bear"]
    assert compared.clips["dog"] == pytest.approx(-20)


def test_benchmarks_with_nothing_in_common_are_refused(tmp_path):
    one = rows(tmp_path, "a", result("bear", "gt", 1, 0.8))
    other = rows(tmp_path, "b", result("dog", "gt", 1, 0.8))
    with pytest.raises(InputError, match="no cell in common"):
        compare(one, other)


def test_the_command_shows_them_side_by_side(tmp_path):
    for name, j in (("a", 0.8), ("b", 0.75)):
        rows(tmp_path, name, result("bear", "dextr", 3, j))
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    assert "-5.0" in done.output
    assert "0 of them with equal scores" in done.output
    assert CliRunner().invoke(main, ["compare", str(tmp_path / "a"), str(tmp_path)]).exit_code == 2


@pytest.mark.parametrize("value", ["x", "\0", '"' + "9" * 200_000, "1e999", "-"])
def test_a_damaged_table_is_refused_in_a_sentence(tmp_path, value):
    path = tmp_path / "table.csv"
    path.write_text(",".join(COLUMNS) + "\n" + ",".join(value for _ in COLUMNS) + "\n")
    with pytest.raises(InputError, match="write the table again with dextr-vos report"):
        read_table(path)
