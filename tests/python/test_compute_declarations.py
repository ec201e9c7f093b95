# SPDX-License-Identifier: MIT
"""What a compute module declares: kinds from annotations, nonsense refused, and the way to JSON."""

# ruff: noqa: UP006, UP035, UP045 - what is tested is how people write it
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, List, Literal, NamedTuple, Optional, Union

import numpy as np
import pytest

from ringbridge.compute import (
    Band,
    Boolean,
    Categories,
    Choice,
    Classes,
    Column,
    Crs,
    Declaration,
    Extent,
    Field,
    File,
    FileOutput,
    Layers,
    Number,
    NumberOutput,
    Point,
    Ramp,
    Raster,
    RasterLayer,
    RasterOutput,
    TableOutput,
    Text,
    TextOutput,
    Vector,
    VectorLayer,
    VectorOutput,
    algorithm,
    algorithms_of,
    declaration_of,
)
from ringbridge.compute import kinds as all_kinds


def kind_of(hint: Any, *default: Any) -> Any:
    """The kind of a parameter `size` with this annotation, beside a raster and a vector."""

    def example(dem: Raster, points: Vector, size: Any, other: Any = None) -> Raster: ...

    example.__annotations__.update(size=hint, dem=Raster, points=Vector, other=int)
    example.__defaults__ = (*default, None) if default else (None,)
    example.__annotations__["return"] = Raster
    return declaration_of(algorithm()(example)).parameters[2].kind


def outputs_of(hint: Any) -> list[Any]:
    def example(dem: Raster) -> Any: ...

    example.__annotations__.update({"dem": Raster, "return": hint})
    return [(each.name, each.kind) for each in declaration_of(algorithm()(example)).outputs]


LABEL = {"label": "Size"}


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (Raster, RasterLayer(**LABEL)),
        (Vector, VectorLayer(**LABEL)),
        (np.ndarray, RasterLayer(form="array", **LABEL)),
        (np.ndarray[Any, Any], RasterLayer(form="array", **LABEL)),
        (bool, Boolean(**LABEL)),
        (int, Number(integer=True, **LABEL)),
        (float, Number(**LABEL)),
        (str, Text(**LABEL)),
        (Path, File(**LABEL)),
        (Optional[float], Number(optional=True, **LABEL)),
        (Union[None, Raster], RasterLayer(optional=True, **LABEL)),
        (Literal["a", "b"], Choice(options=("a", "b"), **LABEL)),
        (list[Literal["a", "b"]], Choice(options=("a", "b"), many=True, **LABEL)),
        (list[Raster], Layers(**LABEL)),
        (List[Vector], Layers(of=VectorLayer(), **LABEL)),
        (list[np.ndarray], Layers(of=RasterLayer(form="array"), **LABEL)),
        (
            list[Annotated[Raster, RasterLayer(bands="all")]],
            Layers(of=RasterLayer(bands="all"), **LABEL),
        ),
        (Annotated[list[Vector], Layers("Parts")], Layers("Parts", of=VectorLayer())),
        (
            Annotated[list[Vector], Layers("Parts", of=VectorLayer(geometry="line"))],
            Layers("Parts", of=VectorLayer(geometry="line")),
        ),
        (Annotated[float, Number("Far", unit="m")], Number("Far", unit="m")),
        (Annotated[int, Number("Far")], Number("Far", integer=True)),
        (Annotated[Optional[int], Number("Far")], Number("Far", integer=True, optional=True)),
        (Optional[Annotated[float, Number("Far")]], Number("Far", optional=True)),
        (Annotated[float, "a remark", Number], Number(**LABEL)),
        (Annotated[Literal["a"], Choice("One")], Choice("One", options=("a",))),
        (Annotated[str, Choice(options=("a",))], Choice(options=("a",), **LABEL)),
        (
            Annotated[list[str], Choice(options=("a",))],
            Choice(options=("a",), many=True, **LABEL),
        ),
        (Annotated[str, Field(of="points")], Field(of="points", **LABEL)),
        (Annotated[list[str], Field(of="points")], Field(of="points", many=True, **LABEL)),
        (Annotated[int, Band(of="dem")], Band(of="dem", **LABEL)),
        (Annotated[Any, VectorLayer(form="arrow")], VectorLayer(form="arrow", **LABEL)),
        (Annotated[np.ndarray, RasterLayer("Image")], RasterLayer("Image", form="array")),
        (Annotated[tuple[float, float], Point], Point(**LABEL)),
        (Point(of="dem"), Point(of="dem", **LABEL)),
        (Extent, Extent(**LABEL)),
        (Crs(), Crs(**LABEL)),
    ],
)
def test_an_annotation_says_what_is_asked_for(hint: Any, kind: Any) -> None:
    assert kind_of(hint) == kind


def test_frames_of_other_packages_are_known_by_their_names(gpd: Any, pd: Any, pa: Any) -> None:
    assert kind_of(gpd.GeoDataFrame) == VectorLayer(form="geopandas", **LABEL)
    assert kind_of(pd.DataFrame) == VectorLayer(form="geopandas", geometry="none", **LABEL)
    assert kind_of(pa.Table) == VectorLayer(form="arrow", **LABEL)
    assert kind_of(list[gpd.GeoDataFrame]) == Layers(of=VectorLayer(form="geopandas"), **LABEL)
    lines = Annotated[gpd.GeoDataFrame, VectorLayer("Lines", geometry="line")]
    assert kind_of(lines) == VectorLayer("Lines", geometry="line", form="geopandas")
    assert outputs_of(pd.DataFrame) == [("output", TableOutput("Output"))]
    assert outputs_of(gpd.GeoDataFrame) == [("output", VectorOutput("Output"))]


def test_a_default_of_none_makes_it_optional() -> None:
    assert kind_of(float, None) == Number(optional=True, **LABEL)
    assert kind_of(Annotated[float, Number(min=0)], 5.0) == Number(min=0, **LABEL)
    assert kind_of(Annotated[Optional[float], Number(min=0)], 5.0).optional


class Results(NamedTuple):
    relief: Raster
    parts: Annotated[Vector, VectorOutput("The parts", style=Categories("part"))]
    rest: Optional[Raster]
    table: Annotated[Any, TableOutput(optional=True)]
    note: str
    count: Annotated[int, NumberOutput(unit="m")]  # type: ignore[assignment]
    file: Path


def test_results_are_those_of_the_return_annotation() -> None:
    assert outputs_of(Raster) == [("output", RasterOutput("Output"))]
    assert outputs_of(Optional[np.ndarray]) == [("output", RasterOutput("Output", optional=True))]
    assert outputs_of(Results) == [
        ("relief", RasterOutput("Relief")),
        ("parts", VectorOutput("The parts", style=Categories("part"))),
        ("rest", RasterOutput("Rest", optional=True)),
        ("table", TableOutput("Table", optional=True)),
        ("note", TextOutput("Note")),
        ("count", NumberOutput("Count", unit="m")),
        ("file", FileOutput("File")),
    ]


@pytest.mark.parametrize("hint", [None, Any, tuple[Raster, Raster], list[Raster], bool, Number()])
def test_a_return_annotation_that_is_no_result_is_refused(hint: Any) -> None:
    with pytest.raises(
        TypeError, match=r"example: the annotation of what it returns .* NamedTuple"
    ):
        outputs_of(hint)


@pytest.mark.parametrize("hint", [Any, dict, list, list[int], Union[int, str], RasterOutput()])
def test_an_annotation_that_says_nothing_is_refused(hint: Any) -> None:
    with pytest.raises(TypeError, match="example: the annotation of 'size' does not say"):
        kind_of(hint)


@pytest.mark.parametrize(
    ("hint", "default", "said"),
    [
        (Annotated[float, Number(min=0, max=1)], 1.5, "does not lie between 0 and 1"),
        (Annotated[float, Number(min=0)], -1, "does not lie between 0 and None"),
        (int, 1.5, "is no int"),
        (float, "much", "is no number"),
        (bool, 1, "is neither True nor False"),
        (str, 5, "is no text"),
        (Path, 5, "is no path"),
        (Literal["a", "b"], "c", r"is none of \('a', 'b'\)"),
        (list[Literal["a", "b"]], ["a", "c"], r"is none of \('a', 'b'\)"),
        (Annotated[tuple[float, float], Point()], (1.0,), "is no tuple of 2 numbers"),
        (Annotated[Any, Extent()], "everywhere", "is no tuple of 4 numbers"),
        (Raster, "a.tif", "cannot be chosen before there are layers"),
    ],
)
def test_a_default_that_no_dialog_can_show_is_refused(hint: Any, default: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"example: size: the default .* {said}"):
        kind_of(hint, default)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (Annotated[float, Number(min=2, max=1)], "nothing lies between min=2 and max=1"),
        (Annotated[str, Choice()], "a Choice is between texts"),
        (Literal[1, 2], "a Choice is between texts"),  # it would get "1", not 1
        (Annotated[str, Choice(options=("a", "a"))], "an option is there twice"),
        (Annotated[str, Choice(options=("a", "b"), labels=("A",))], "1 labels do not fit 2"),
        (Annotated[str, Field(of="dem")], "of 'dem', which is no parameter that is a VectorLayer"),
        (Annotated[str, Field()], "of '', which is no parameter that is a VectorLayer"),
        (Annotated[int, Band(of="points")], "which is no parameter that is a RasterLayer"),
        (Annotated[Any, Point(of="map")], "no parameter that is a RasterLayer or VectorLayer"),
        (Annotated[float, Number(distance_of="other")], "no parameter that is a RasterLayer or"),
        (Annotated[Vector, VectorLayer(geometry="lines")], "geometry='lines' is none of"),
        (Annotated[Raster, RasterLayer(bands="two")], "bands='two' is none of"),
        (list[Annotated[Vector, VectorLayer(form="x")]], "form='x' is none of"),
        (Annotated[str, Field(of="points", type="int")], "type='int' is none of"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused(hint: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"example: size.*{said}"):
        kind_of(hint)


def test_names_that_a_host_cannot_tell_apart_are_refused() -> None:
    def large(size: int, SIZE: int) -> Raster: ...

    class Same(NamedTuple):
        dem: Raster

    def both(dem: Raster) -> Same: ...

    for each, name in ((large, "size"), (both, "dem")):
        each.__annotations__.update({"return": Same if each is both else Raster})
        with pytest.raises(TypeError, match=f"two parameters or results are called '{name}'"):
            declaration_of(algorithm()(each))


def test_parameters_that_cannot_be_given_by_name_are_refused() -> None:
    def several(*rasters: Raster) -> Raster: ...
    def named(**rasters: Raster) -> Raster: ...
    def placed(dem: Raster, /) -> Raster: ...

    for each in (several, named, placed):
        with pytest.raises(TypeError, match="cannot be given by its name"):
            declaration_of(algorithm()(each))


@pytest.mark.parametrize(
    ("margin", "said"),
    [("reach", "names no parameter that is an int"), ("size", "names no"), (-1, "is negative")],
)
def test_a_margin_is_a_number_of_cells_or_names_one(margin: Any, said: str) -> None:
    @algorithm(margin=margin)
    def blur(dem: Raster, size: float = 1.0) -> Raster: ...

    with pytest.raises(TypeError, match=f"blur: margin.*{said}"):
        declaration_of(blur)


def test_blocks_give_rasters() -> None:
    # A number was silently lost, and a vector layer taken for a raster.
    def mean(dem: Raster) -> float: ...
    def peaks(dem: Raster) -> Vector: ...

    for each in (mean, peaks):
        assert declaration_of(algorithm()(each)).margin is None
        with pytest.raises(TypeError, match=f"{each.__name__}: with a margin all results are"):
            declaration_of(algorithm(margin=1)(each))


def test_a_name_that_is_there_for_type_checkers_only_is_told() -> None:
    @algorithm()
    def example(dem: Missing) -> Raster: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"example: .*'Missing'.* outside of `if TYPE_CHECKING`"):
        declaration_of(example)


def test_an_annotation_that_fails_is_told() -> None:
    @algorithm()
    def example(dem: Raster, size: np.float3) -> Raster: ...  # type: ignore[name-defined]

    with pytest.raises(TypeError, match=r"example: an annotation cannot be read: AttributeError"):
        declaration_of(example)


def test_a_union_with_a_bar_works_or_python_3_9_says_why_not() -> None:
    @algorithm()
    def example(dem: Raster, mask: Raster | None = None) -> Raster: ...

    if sys.version_info < (3, 10):
        with pytest.raises(TypeError, match=r"example: .* write Optional\[X\]"):
            declaration_of(example)
    else:
        assert declaration_of(example).parameters[1].kind == RasterLayer("Mask", optional=True)


def test_the_decorator_without_parentheses_is_refused() -> None:
    with pytest.raises(TypeError, match="needs parentheses"):

        @algorithm  # type: ignore[arg-type]
        def example(dem: Raster) -> Raster: ...


@algorithm("All kinds", group="Tests", help="<b>Help</b>", margin="reach", tags=("one", "two"))
def every_kind(
    dem: Raster,
    points: Annotated[Vector, VectorLayer("Points", geometry="point", help="Where.")],
    layers: list[Raster],
    place: Annotated[Any, Point(of="dem")],
    box: Annotated[Any, Extent(of="points")] = (0.0, 0.0, 1.5, 2.0),
    crs: Annotated[str, Crs()] = "EPSG:4326",
    reach: Annotated[int, Number(min=1, max=9)] = 3,
    far: Annotated[Optional[float], Number(distance_of="dem", decimals=2, advanced=True)] = None,
    how: Literal["a", "b"] = "b",
    some: Annotated[list[str], Choice(options=("a", "b"), labels=("A", "B"))] = ["a"],  # noqa: B006
    band: Annotated[int, Band(of="dem")] = 1,
    fields: Annotated[Optional[list[str]], Field(of="points", type="number")] = None,
    on: bool = True,
    text: Annotated[str, Text(multiline=True)] = "two\nlines",
    file: Annotated[Path, File(extension="csv")] = Path("a/b.csv"),
) -> Annotated[
    Raster, RasterOutput(style=Classes(((0, "no", "#000000"), (1.5, "yes", "#ffffff"))))
]:
    """Not shown, since help is given."""
    return dem


def test_a_declaration_comes_back_from_json_as_it_was() -> None:
    declared = declaration_of(every_kind)
    read = Declaration.from_plain(json.loads(json.dumps(declared.to_plain())))
    assert read == declared
    assert (read.label, read.group, read.help) == ("All kinds", "Tests", "<b>Help</b>")
    assert (read.margin, read.tags) == ("reach", ("one", "two"))
    defaults = {each.name: each.default for each in read.parameters if not each.required}
    assert defaults["some"] == ("a",)
    assert defaults["file"] == str(Path("a/b.csv"))
    assert [each.name for each in read.parameters if each.required] == [
        *("dem", "points", "layers", "place")
    ]


def test_every_kind_and_style_comes_back_from_json_as_it_was() -> None:
    for cls in all_kinds._CLASSES.values():
        made = cls()
        assert all_kinds.from_plain(json.loads(json.dumps(all_kinds.to_plain(made)))) == made
    styled = RasterOutput("Depth", style=Ramp("Blues", min=-1.5))
    assert all_kinds.from_plain(json.loads(json.dumps(all_kinds.to_plain(styled)))) == styled


@pytest.mark.parametrize("plain", [{"is": "Slider"}, {"is": "Number", "colour": 1}, {}])
def test_what_another_version_wrote_is_a_value_error(plain: Any) -> None:
    with pytest.raises(ValueError, match=r"no kind|Number"):
        all_kinds.from_plain(plain)


def test_label_group_and_help_come_from_the_function_where_they_are_not_given() -> None:
    @algorithm()
    def flow_length(dem: Raster) -> Raster:
        """How far.

        Details.
        """
        return dem

    declared = declaration_of(flow_length)
    assert (declared.label, declared.help) == ("Flow length", "How far.\n\nDetails.")
    assert declared.group == "Test compute declarations"  # the module's name
    assert declared.margin is None


def test_a_modules_algorithms_are_its_own_in_order_and_once() -> None:
    class Module:
        __name__ = __name__

    module: Any = Module()

    @algorithm()
    def second(dem: Raster) -> Raster: ...

    @algorithm()
    def first(dem: Raster) -> Raster: ...

    imported = algorithm()(Column.of)  # of another module
    module.first, module.alias, module.imported, module.second = first, first, imported, second
    assert list(algorithms_of(module)) == [first, second]
