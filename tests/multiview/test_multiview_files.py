"""Views from files and DataFrames: aligned samples, labels, missing values, and errors that name the place."""

import re

import numpy as np
import pytest

from optlab.datasets.multiview import make_linked_views, read_views
from optlab.multiview import JointLCA

pd = pytest.importorskip("pandas")


@pytest.fixture
def frames():
    data = make_linked_views("S", n=30, p=(6, 7), individual=(1,), seed=0)
    names = [f"patient{i}" for i in range(30)]
    return {
        name: pd.DataFrame(X, columns=[f"{name}{j}" for j in range(X.shape[1])], index=names)
        for name, X in zip(("genes", "lipids"), data.views, strict=True)
    }


def write(folder, frames, suffix="csv"):
    paths = {}
    for name, frame in frames.items():
        paths[name] = folder / f"{name}.{suffix}"
        frame.to_csv(paths[name], sep="," if suffix == "csv" else "\t", index_label="id")
    return paths


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_files_are_the_frames_they_were_written_from(tmp_path, frames, suffix):
    frames["lipids"] = frames["lipids"].iloc[::-1]  # another order of the samples
    paths = write(tmp_path, frames, suffix)
    (tmp_path / "notes.md").write_text("not a view")
    wanted = frames["lipids"].loc[frames["genes"].index].to_numpy()
    for source in (paths, list(paths.values()), tmp_path, str(tmp_path)):
        data = read_views(source, sample_column="id")
        assert list(data.views) == ["genes", "lipids"]
        np.testing.assert_allclose(data.views["lipids"], wanted, rtol=1e-12)
        assert data.sample_names == list(frames["genes"].index)
        assert data.feature_names["genes"][2] == "genes2"
        assert data.label_names == ["all"]
    assert read_views(paths, sample_column=0).sample_names == data.sample_names


def test_what_is_read_can_be_fitted(tmp_path, frames):
    data = read_views(write(tmp_path, frames), sample_column="id")
    fitted = JointLCA(lam=0.1, max_rank=2).fit(data.frames())
    assert fitted.view_names_ == ["genes", "lipids"]
    assert fitted.feature_names_in_[1][0] == "lipids0"
    np.testing.assert_allclose(JointLCA(lam=0.1, max_rank=2).fit(data.views).scores_, fitted.scores_)


def test_rows_without_names_are_taken_in_order(tmp_path, frames):
    plain = {name: frame.reset_index(drop=True) for name, frame in frames.items()}
    for name, frame in plain.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    data = read_views(tmp_path)
    assert data.sample_names is None
    np.testing.assert_allclose(data.views["genes"], frames["genes"].to_numpy(), rtol=1e-12)
    np.testing.assert_array_equal(read_views(plain).views["genes"], frames["genes"].to_numpy())


def test_labels_leave_the_views(frames):
    groups = np.where(np.arange(30) % 3, "wild", "mutant")
    both = {name: frame.assign(genotype=groups) for name, frame in frames.items()}
    for source in ({"genes": both["genes"], "lipids": frames["lipids"]}, both):
        data = read_views(source, labels="genotype")
        assert data.label_names == ["mutant", "wild"]
        np.testing.assert_array_equal(np.array(data.label_names)[data.labels], groups)
        assert data.views["genes"].shape == (30, 6)
        assert data.views["lipids"].shape == (30, 7)


def test_common_samples_and_missing_values(frames):
    short = {"genes": frames["genes"].iloc[2:], "lipids": frames["lipids"].iloc[:-3]}
    data = read_views(short, samples="common")
    assert data.sample_names == [f"patient{i}" for i in range(2, 27)]
    np.testing.assert_array_equal(data.views["genes"], frames["genes"].to_numpy()[2:27])
    holes = {name: frame.copy() for name, frame in frames.items()}
    holes["genes"].iloc[4, 1] = np.nan
    holes["lipids"].iloc[7, 0] = np.inf
    dropped = read_views(holes, missing="drop")
    assert dropped.sample_names == [f"patient{i}" for i in range(30) if i not in (4, 7)]
    labelled = dict(holes, genes=holes["genes"].assign(group=np.arange(30)))
    assert len(read_views(labelled, missing="drop", labels="group").labels) == 28
    filled = read_views(holes, missing="median")
    assert filled.views["genes"][4, 1] == pytest.approx(frames["genes"].drop("patient4")["genes1"].median())
    assert filled.views["lipids"][7, 0] == pytest.approx(frames["lipids"].drop("patient7")["lipids0"].median())
    assert np.isnan(holes["genes"].iloc[4, 1])  # the caller's frame is as it was


def hole(frames):
    changed = frames["genes"].copy()
    changed.iloc[4, 1] = np.nan
    return dict(frames, genes=changed)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (lambda f: {"genes": f["genes"]}, {}, "source must hold at least 2 views, got 1: genes"),
        (lambda f: "nowhere", {}, "'nowhere' is no folder"),
        (lambda f: {"a": "nowhere.csv", "b": f["genes"]}, {}, "view 'a': there is no file nowhere.csv"),
        (lambda f: list(f.values()), {}, "source[0] must be a path, got DataFrame; name DataFrames"),
        (lambda f: ["a/x.csv", "b/x.csv"], {}, "files of different names"),
        (lambda f: 3, {}, "source must be a dict, a list of paths or a folder, got int"),
        (lambda f: {"a": 1, "b": 2}, {}, "view 'a' must be a path or a DataFrame, got int"),
        (
            lambda f: dict(f, lipids=f["lipids"].iloc[1:]),
            {},
            "view 'lipids' lacks 1 of the samples of 'genes', the",
        ),
        (
            lambda f: dict(f, genes=f["genes"].iloc[3:]),
            {},
            "view 'genes' lacks 3 of the samples of 'lipids', the",
        ),
        (
            lambda f: dict(f, lipids=f["lipids"].rename(index=str.upper)),
            {"samples": "common"},
            "no sample in common; the first are 'patient0' in 'genes', 'PATIENT0' in 'lipids'",
        ),
        (
            lambda f: dict(f, genes=pd.concat([f["genes"], f["genes"].iloc[:1]])),
            {},
            "view 'genes' must have every sample once, 'patient0' is there twice",
        ),
        (
            lambda f: {k: v.reset_index(drop=True).iloc[: 30 - i] for i, (k, v) in enumerate(f.items())},
            {},
            "got 30 rows in 'genes' and 29 in 'lipids'; where a column has the names of the samples, pass",
        ),
        (lambda f: dict(f, genes=f["genes"].assign(site="A")), {}, "column 'site' is not numeric, it holds 'A'"),
        (lambda f: f, {"labels": "diet"}, "'diet' is in none of them"),
        (
            lambda f: {k: v.assign(diet=i) for i, (k, v) in enumerate(f.items())},
            {"labels": "diet"},
            "labels 'diet' differ between the views 'genes' and 'lipids'",
        ),
        (hole, {}, "view 'genes': sample 'patient4' has no finite value in column 'genes1', one of 1 such"),
        (
            lambda f: dict(f, genes=f["genes"].assign(empty=np.nan)),
            {"missing": "median"},
            "column 'empty' has no value",
        ),
        (lambda f: f, {"missing": "mean"}, "missing must be one of"),
        (lambda f: f, {"samples": "comon"}, "did you mean 'common'"),
    ],
)
def test_errors_name_the_place(frames, source, settings, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=re.escape(message)):
        read_views(source(frames), **settings)


def test_errors_of_files(tmp_path, frames):
    paths = write(tmp_path, frames)
    with pytest.raises(TypeError, match=r"'id' is not numeric, it holds 'patient0'\. If it names the samples"):
        read_views(paths)
    with pytest.raises(ValueError, match="sample_column 'sample' is not in view 'genes', which has 'id', 'genes0'"):
        read_views(paths, sample_column="sample")
    with pytest.raises(ValueError, match="sample_column must be below 7, the columns of view 'genes', got 9"):
        read_views(paths, sample_column=9)
    paths["genes"].write_text("")
    with pytest.raises(ValueError, match=r"view 'genes': .* is not a table that can be read"):
        read_views(paths, sample_column="id")
    paths["genes"].write_text("id,a\n")
    with pytest.raises(ValueError, match="view 'genes' must not be empty, got 0 rows"):
        read_views(paths, sample_column="id")


# ---------------------------------------------------------------------- what pandas, R and spreadsheets write


def noise(n=60):
    rng = np.random.default_rng(0)
    return {
        name: pd.DataFrame(rng.standard_normal((n, p)), columns=[f"{name}{j}" for j in range(p)])
        for name, p in (("genes", 8), ("lipids", 6))
    }


def test_row_numbers_of_a_csv_are_no_feature(tmp_path):
    for name, frame in noise().items():
        frame.to_csv(tmp_path / f"{name}.csv")  # pandas' default writes the row numbers first
    data = read_views(tmp_path)
    assert {name: X.shape for name, X in data.views.items()} == {"genes": (60, 8), "lipids": (60, 6)}
    assert data.sample_names == [str(i) for i in range(60)]
    assert JointLCA().fit(data.views).rank_ == 0
    for name in ("genes", "lipids"):  # and again
        pd.read_csv(tmp_path / f"{name}.csv").to_csv(tmp_path / f"{name}.csv", index=False)
    assert read_views(tmp_path).feature_names["lipids"] == [f"lipids{j}" for j in range(6)]


def test_row_numbers_with_a_name_are_refused(tmp_path):
    frames = noise()
    numbered = {name: frame.assign(X=np.arange(1, 61)) for name, frame in frames.items()}
    message = r"column 'X' of view 'genes' only numbers the rows, and so does 'X' of 'lipids'.*sample_column='X'"
    with pytest.raises(ValueError, match=message):
        read_views(numbered)
    for name, frame in numbered.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_views(tmp_path)
    assert read_views(tmp_path, sample_column="X").sample_names[0] == "1"
    # a running number in one view is shared with none
    assert read_views(dict(frames, genes=numbered["genes"])).views["genes"].shape == (60, 9)
    unnamed = {name: frame.assign(**{"Unnamed: 0": np.arange(60)}) for name, frame in frames.items()}
    with pytest.raises(ValueError, match=r"has a column 'Unnamed: 0'.*index_col=0"):
        read_views(unnamed)
    with pytest.raises(ValueError, match=r"views\['genes'\] has a column 'Unnamed: 0'.*index_col=0"):
        JointLCA().fit(unnamed)
    with pytest.raises(ValueError, match=r"column 8 \('X'\) of views\['genes'\] only numbers the rows"):
        JointLCA().fit(numbered)
    with pytest.raises(ValueError, match=r"column 8 of views\[0\] only numbers the rows, and so does column 6"):
        JointLCA().fit([frame.to_numpy() for frame in numbered.values()])


def test_numbers_from_zero_and_from_one_are_not_matched(tmp_path):
    for start, (name, frame) in enumerate(noise().items()):
        frame.set_axis(np.arange(start, start + 60), axis=0).to_csv(tmp_path / f"{name}.csv")
    with pytest.raises(ValueError, match="'genes' are numbered from 0, those of 'lipids' from 1"):
        read_views(tmp_path, samples="common")


def test_tables_of_r(tmp_path, frames):
    for name, frame in frames.items():
        body = "\n".join(
            f'"{i}"\t' + "\t".join(map(repr, map(float, row))) for i, row in zip(frame.index, frame.values)
        )
        heads = "\t".join(f'"{c}"' for c in frame.columns)
        (tmp_path / f"{name}.txt").write_text(f"{heads}\n{body}\n")  # write.table: one name short
    for settings in ({}, {"sample_column": 0}):
        data = read_views(tmp_path, **settings)
        assert data.sample_names == list(frames["genes"].index)
        np.testing.assert_array_equal(data.views["lipids"], frames["lipids"].to_numpy())


@pytest.mark.parametrize("suffix", ["csv.gz", "csv.bz2", "tsv.xz"])
def test_compressed_files(tmp_path, frames, suffix):
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.{suffix}", sep="," if "csv" in suffix else "\t")
    for source in (tmp_path, sorted(tmp_path.iterdir())):
        data = read_views(source)
        assert list(data.views) == ["genes", "lipids"]
        np.testing.assert_allclose(data.views["genes"], frames["genes"].to_numpy(), rtol=1e-12)


def test_separator_decimal_and_encoding(tmp_path, frames):
    frames["lipids"] = frames["lipids"].rename(columns={"lipids0": "ölsäure"})
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", sep=";", decimal=",", index_label="id", encoding="latin-1")
    wanted = {"sample_column": "id", "sep": ";", "decimal": ",", "encoding": "latin-1"}
    data = read_views(tmp_path, **wanted)
    np.testing.assert_allclose(data.views["genes"], frames["genes"].to_numpy(), rtol=1e-12)
    assert data.feature_names["lipids"][0] == "ölsäure"
    for left_out, message in (
        ("sep", r"genes.csv has a single column, 'id;genes0;.* pass sep=';' \(and decimal=','"),
        ("decimal", r"column 'genes0' is not numeric.*decimal=','"),
        ("encoding", r"pass the encoding it has, such as encoding='latin-1'"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            read_views(tmp_path, **{k: v for k, v in wanted.items() if k != left_out})
    for bad in ({"sep": ""}, {"sep": ";;"}, {"decimal": None}, {"encoding": "klingon"}, {"encoding": 3}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must"):
            read_views(tmp_path, **bad)


def test_names_of_samples_are_text(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n001,1\nNA,2\n1,4\n")
    (tmp_path / "b.csv").write_text("name,y\n1,7\n001,3\nNA,5\n")
    data = read_views(tmp_path, sample_column={"a": "id", "b": 0})
    assert data.sample_names == ["001", "NA", "1"]
    assert data.views["b"].ravel().tolist() == [3.0, 5.0, 7.0]
    with pytest.raises(ValueError, match=r"sample_column names the view 'c'; the views are 'a', 'b'"):
        read_views(tmp_path, sample_column={"c": "id"})
    (tmp_path / "b.csv").write_text("name,y\n1,7\n,3\nNA,5\n")
    with pytest.raises(ValueError, match="view 'b' has a row without a sample name, number 2"):
        read_views(tmp_path, sample_column=0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["P01 ", "P02 ", "P03 "], "'P01' and 'P01 ' differ in blanks at the ends"),
        (["p01", "p02", "p03"], "'P01' and 'p01' differ in upper and lower case"),
        ([0, 1, 2], "the rows of one view have names, those of the other are only numbered"),
    ],
)
@pytest.mark.parametrize("samples", ["same", "common"])
def test_why_names_do_not_match(names, words, samples):
    a = pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index=["P01", "P02", "P03"])
    b = pd.DataFrame({"y": [1.0, 3.0, 4.0]}, index=names)
    with pytest.raises(ValueError, match=words):
        read_views({"a": a, "b": b}, samples=samples)


def test_numbers_written_differently():
    a = pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index=["001", "002", "003"])
    b = pd.DataFrame({"y": [1.0, 3.0, 4.0]}, index=[1, 2, 3])
    with pytest.raises(ValueError, match="'001' and '1' differ in how a number is written"):
        read_views({"a": a, "b": b}, samples="common")


def test_columns_and_levels(tmp_path, frames):
    (tmp_path / "a.csv").write_text("id,x,x\np,1,2\nq,2,3\n")
    with pytest.raises(ValueError, match="different names for its columns, 'x' is there twice"):
        read_views({"a": tmp_path / "a.csv", "b": frames["genes"]}, sample_column="id")
    levels = frames["genes"].set_axis(pd.MultiIndex.from_product([["m"], frames["genes"].index]), axis=0)
    with pytest.raises(ValueError, match="one name per row, its index have 2 levels"):
        read_views(dict(frames, genes=levels))


def test_what_is_read_is_a_copy(frames):
    data = read_views(frames)
    data.views["genes"][:] = 0.0
    handed_out = data.frames()["lipids"]
    handed_out.iloc[:] = 0.0
    assert frames["genes"].to_numpy().any()
    assert data.views["lipids"].any()
