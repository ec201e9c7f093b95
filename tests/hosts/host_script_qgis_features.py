# SPDX-License-Identifier: MIT
"""A standalone script in QGIS's Python: features of real layers to Vectors, and back.

Each `check_...` is one test of test_qgis_features.py; the report says how each ended, and how long
a million features took.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import traceback
from typing import Any

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as _file:
    SETTINGS: dict[str, Any] = json.load(_file)
sys.path.insert(0, SETTINGS["copy"])
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_qgis_million
import numpy as np
from qgis.core import (
    NULL,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingUtils,
    QgsProject,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import (
    QByteArray,
    QDate,
    QDateTime,
    Qt,
    QTime,
    QVariant,
)

from ringbridge.compute import Column, Vector
from ringbridge.qgis import features

CONTEXT = QgsProcessingContext()  # owns the layers that are made
MOMENTS = [
    QDateTime(QDate(2021, 3, 28), QTime(2, 30, 1, 234)),  # an hour that some clocks skip
    NULL,
    QDateTime(QDate(1900, 1, 1), QTime(23, 59, 59, 999)),
    QDateTime(QDate(1970, 1, 1), QTime(0, 0)),
]
FIELDS = {
    "whole": (QVariant.Int, [1, NULL, -(2**31) + 1, 2**31 - 1]),
    "large": (QVariant.LongLong, [2**63 - 1, NULL, -(2**63) + 1, 0]),
    "real": (QVariant.Double, [0.1, NULL, -1e300, 5e-324]),
    "flag": (QVariant.Bool, [True, NULL, False, True]),
    "text": (QVariant.String, ["", NULL, "é 漢 😀", "a\nb"]),
    "day": (QVariant.Date, [QDate(2020, 2, 29), NULL, QDate(1815, 6, 18), QDate(1970, 1, 1)]),
    "moment": (QVariant.DateTime, MOMENTS),
    "blob": (
        QVariant.ByteArray,
        [QByteArray(b"\x00\xff"), NULL, QByteArray(b"a"), QByteArray(b"b")],
    ),
}
CLOCK = {"clock": (QVariant.Time, [QTime(1, 2, 3, 4), NULL, QTime(0, 0), QTime(23, 59, 59, 999)])}
SHAPES = ["MultiPolygonZ (((0 0 1, 1 0 2, 1 1 3, 0 0 1)))", None, "MultiPolygonZ EMPTY"]
SHAPES += ["MultiPolygonZ (((0 0 1, 1 0 2, 1 1 3, 0 0 1)),((5 5 5, 6 5 5, 6 6 5, 5 5 5)))"]


def layer_of(fields: dict[str, Any], shapes: list[Any], kind: str, crs: str = "EPSG:25832") -> Any:
    layer = QgsVectorLayer(f"{kind}?crs={crs}" if crs else kind, "made", "memory")
    provider = layer.dataProvider()
    assert provider.addAttributes([QgsField(name, each[0]) for name, each in fields.items()])
    layer.updateFields()
    made = []
    for number, shape in enumerate(shapes):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([each[1][number] for each in fields.values()])
        if shape is not None:
            feature.setGeometry(QgsGeometry.fromWkt(shape))
        made.append(feature)
    assert provider.addFeatures(made)[0], provider.lastError()
    return layer


def seen(layer: Any, names: list[str]) -> list[Any]:
    """What QGIS itself says that is in a layer."""
    told = []
    for feature in layer.getFeatures():
        values = [feature[name] for name in names]
        shape = bytes(feature.geometry().asWkb()) if feature.hasGeometry() else None
        told.append((["NULL" if is_null(value) else value for value in values], shape))
    return told


def is_null(value: Any) -> bool:
    """QByteArray() is what QGIS reads where a file has NULL."""
    return bool(value == NULL or (isinstance(value, QByteArray) and value.isNull()))


def sent_to(destination: str, vector: Vector, wanted: str = "any") -> Any:
    """The layer that is there after the vector went into a sink, as Processing makes them."""
    crs = QgsCoordinateReferenceSystem.fromWkt(vector.crs)
    sink, where = QgsProcessingUtils.createFeatureSink(
        *(destination, CONTEXT, features.fields_of(vector)),
        *(features.wkb_type_of(vector, wanted), crs),
    )
    features.write(vector, sink)
    del sink
    layer = QgsProcessingUtils.mapLayerFromString(where, CONTEXT)
    assert layer is not None and layer.isValid(), where
    return layer


def is_empty(shape: bytes | None) -> bool:
    return not any((shape or b"")[5:])  # after byte order and type, the number of parts


def geopackage(name: str) -> str:
    return os.path.join(SETTINGS["folder"], f"{name}.gpkg")


def raises(kind: type[Exception], text: str, function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except kind as error:
        assert text in str(error), str(error)
        return
    raise AssertionError(f"no {kind.__name__}")


def check_memory_layer_comes_back_exactly() -> None:
    fields = {**FIELDS, **CLOCK}
    source = layer_of(fields, SHAPES, "MultiPolygonZ")
    vector = features.read(source)
    back = sent_to("memory:back", vector)
    assert seen(back, list(fields)) == seen(source, list(fields))
    assert [f.type() for f in back.fields()] == [each[0] for each in fields.values()]
    assert back.wkbType() == QgsWkbTypes.MultiPolygonZ and back.crs() == source.crs()


def check_geopackage_comes_back_exactly() -> None:
    """Twice: what the file itself made of the values, such as its fid, must stay as well."""
    values = [each if each == NULL else each.addMSecs(-each.time().msec()) for each in MOMENTS]
    moments = {"moment": (QVariant.DateTime, values)}  # QGIS writes seconds
    source = layer_of({**FIELDS, **moments}, SHAPES, "MultiPolygonZ")
    first = sent_to(geopackage("first"), features.read(source))
    mine, theirs = seen(first, list(FIELDS)), seen(source, list(FIELDS))
    for one, other in zip(mine, theirs):
        assert one[0] == other[0], (one[0], other[0])
    # QGIS's writer of files makes empty ones of missing ones, and those have no z there.
    for (_, shape), (_, other) in zip(mine, theirs):
        assert shape == other or (is_empty(shape) and is_empty(other))
    second = sent_to(geopackage("second"), features.read(first))
    names = [field.name() for field in first.fields()]
    assert names == ["fid", *FIELDS]
    assert seen(second, names) == seen(first, names)
    assert [f.type() for f in second.fields()] == [f.type() for f in first.fields()]
    assert second.crs() == source.crs() and second.wkbType() == first.wkbType()


def check_columns_have_the_types_of_numpy() -> None:
    vector = features.read(layer_of({**FIELDS, **CLOCK}, SHAPES, "MultiPolygonZ"))
    dtypes = {name: str(c.values.dtype) for name, c in vector.columns.items() if c.kind == "plain"}
    assert dtypes == {
        **{"whole": "int32", "large": "int64", "real": "float64", "flag": "bool"},
        **{"day": "datetime64[D]", "moment": "datetime64[ms]", "clock": "timedelta64[ms]"},
    }
    assert all(
        list(column.valid) == [True, False, True, True] for column in vector.columns.values()
    )
    assert str(vector["moment"][0]) == "2021-03-28T02:30:01.234"
    assert vector.columns["text"].to_list() == ["", None, "é 漢 😀", "a\nb"]


def check_missing_and_empty_geometries_differ() -> None:
    vector = features.read(layer_of(FIELDS, SHAPES, "MultiPolygonZ"))
    assert vector.geometry is not None and list(vector.geometry.valid) == [True, False, True, True]
    points = layer_of({}, ["Point (1 2)", None, "Point EMPTY"], "Point")
    xy = features.read(points).xy()
    assert xy[0].tolist() == [1.0, 2.0] and np.isnan(xy[1:]).all()


def check_curves_become_lines() -> None:
    arc = "CircularString (0 0, 1 1, 2 0)"
    shapes = [f"CompoundCurve ({arc}, (2 0, 3 0))", "MultiCurve ((0 0, 1 1))"]
    for shape in [*shapes, f"GeometryCollection ({arc})", arc]:
        layer = layer_of({}, [shape, shape], shape.partition(" ")[0])
        vector = features.read(layer)
        assert vector.geometry is not None
        for feature, piece in zip(layer.getFeatures(), vector.geometry.to_list()):
            straight = QgsGeometry(feature.geometry().constGet().segmentize())
            assert piece == bytes(straight.asWkb())
            assert not QgsWkbTypes.isCurvedType(straight.wkbType())


def check_single_ones_become_multi_where_some_are() -> None:
    shapes = ["LineString (0 0, 1 1)", "MultiLineString ((0 0, 1 1),(5 5, 6 6))"]
    vector = Vector({"n": [1, 2]}, features.read(layer_of({}, shapes, "MultiLineString")).geometry)
    assert features.wkb_type_of(vector) == QgsWkbTypes.MultiLineString
    layer = sent_to(geopackage("multi"), vector)
    told = [feature.geometry().asWkt() for feature in layer.getFeatures()]
    assert told == ["MultiLineString ((0 0, 1 1))", shapes[1]], told


def check_pieces_leave_nothing_to_each_other() -> None:
    """The features of the first piece are filled again for the next ones."""
    count = 50_000
    there = np.arange(count) % 7 != 0
    vector = Vector.points(np.arange(2 * count).reshape(-1, 2), n=np.ma.array(there, mask=~there))
    assert vector.geometry is not None
    vector.geometry.valid = there[::-1]
    back = features.read(sent_to("memory:", vector))
    assert back.geometry is not None and list(back.geometry.valid) == list(there[::-1])
    assert np.array_equal(back.xy(), vector.xy(), equal_nan=True)
    assert back.columns["n"].to_list() == vector.columns["n"].to_list()


def check_z_is_added_where_some_have_it() -> None:
    flat = features.read(layer_of({}, ["Point (1 2)", "PointZ (1 2 3)"], "PointZ"))
    assert features.wkb_type_of(flat) == QgsWkbTypes.PointZ
    layer = sent_to("memory:z", Vector({"n": [1, 2]}, flat.geometry))
    assert [f.geometry().asWkt() for f in layer.getFeatures()] == [
        "PointZ (1 2 0)",
        "PointZ (1 2 3)",
    ]


def check_kinds_that_do_not_fit_are_refused() -> None:
    shapes = [QgsGeometry.fromWkt(wkt) for wkt in ("Point (1 2)", "LineString (0 0, 1 1)")]
    mixed = Vector({}, Column.of([bytes(shape.asWkb()) for shape in shapes]))
    raises(ValueError, "lines and points", features.wkb_type_of, mixed)
    points = Vector.points(np.zeros((2, 2)))
    raises(ValueError, "has points", features.wkb_type_of, points, "polygon")
    assert features.wkb_type_of(points, "none") == QgsWkbTypes.NoGeometry
    nothing = Vector.points(np.zeros((0, 2)))
    assert features.wkb_type_of(nothing, "line") == QgsWkbTypes.LineString
    assert features.wkb_type_of(Vector({"n": [1]})) == QgsWkbTypes.NoGeometry


def check_wkb_that_qgis_does_not_read_is_refused() -> None:
    """A flag for z it reads, and none for m."""
    xyz = struct.pack("<3d", 1, 2, 3)
    flagged = Vector({}, Column.of([struct.pack("<BI", 1, 0x80000001) + xyz]))
    layer = sent_to("memory:", flagged)
    assert [feature.geometry().asWkt() for feature in layer.getFeatures()] == ["PointZ (1 2 3)"]
    for wkb in (struct.pack("<BI", 1, 0x40000001) + xyz, b"\1\2\0\0\0"):
        bad = Vector({}, Column.of([wkb]))
        raises(ValueError, "no WKB that QGIS reads", sent_to, "memory:", bad)


def check_values_that_no_field_holds_are_refused() -> None:
    big, long = Vector({"big": [2**64 - 1]}), Vector({"long": np.array([2], "m8[D]")})
    raises(ValueError, "'big'", sent_to, "memory:", big)
    raises(ValueError, "'long'", sent_to, "memory:", long)
    least = sent_to(
        "memory:", Vector({"least": np.array([-(2**31)], "i4")})
    )  # QGIS refuses it as Int
    assert [feature.attributes() for feature in least.getFeatures()] == [[-(2**31)]]
    small = Vector({"small": np.array([1, 2**63 - 1], "u8"), "byte": np.array([1, 2], "u1")})
    layer = sent_to("memory:", small)
    assert [feature.attributes() for feature in layer.getFeatures()] == [[1, 1], [2**63 - 1, 2]]


def check_what_the_file_refuses_is_told() -> None:
    twice = Vector({"fid": [7, 7]})
    arguments = (geopackage("twice"), twice)
    raises(QgsProcessingException, "features 1 to 2", sent_to, *arguments)


def check_only_the_selected_features_are_read() -> None:
    layer = layer_of(FIELDS, SHAPES, "MultiPolygonZ")
    QgsProject.instance().addMapLayer(layer)
    layer.selectByIds([2, 4])
    CONTEXT.setProject(QgsProject.instance())
    chosen = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    vector = features.read(QgsProcessingUtils.variantToSource(chosen, CONTEXT))
    assert set(vector.columns["whole"].to_list()) == {None, 2**31 - 1}
    QgsProject.instance().removeMapLayer(layer)


def check_filters_and_edits_and_virtual_fields_are_seen() -> None:
    source = layer_of(FIELDS, SHAPES, "MultiPolygonZ")
    layer = sent_to(geopackage("edited"), features.read(source))
    assert layer.setSubsetString("whole > 0")
    layer.addExpressionField('"whole" + 0.5', QgsField("virtual", QVariant.Double))
    assert layer.startEditing()
    first = next(layer.getFeatures(QgsFeatureRequest()))
    assert layer.changeAttributeValue(first.id(), layer.fields().indexOf("text"), "edited")
    vector = features.read(layer, fields=["virtual", "text"])
    assert vector.columns["virtual"].to_list() == [1.5, 2**31 - 0.5]
    assert vector.columns["text"].to_list() == ["edited", "a\nb"]
    assert layer.rollBack()


def check_only_the_wanted_fields_are_read_in_their_order() -> None:
    layer = layer_of(FIELDS, SHAPES, "MultiPolygonZ")
    vector = features.read(layer, fields=["text", "whole"])
    assert list(vector.columns) == ["text", "whole"] and len(vector) == 4
    bare = features.read(layer, fields=[])
    assert not bare.columns and len(bare) == 4
    raises(
        ValueError,
        "no field 'absent'; there are whole",
        lambda: features.read(layer, fields=["absent"]),
    )


def check_lists_and_maps_are_json() -> None:
    layer = QgsVectorLayer("NoGeometry?field=names:string[]&field=sizes:double[]", "made", "memory")
    feature = QgsFeature(layer.fields())
    feature.setAttributes([["a", "é"], [1.5, 2.0]])
    empty = QgsFeature(layer.fields())
    assert layer.dataProvider().addFeatures([feature, empty])[0]
    vector = features.read(layer)
    assert vector.columns["names"].to_list() == ['["a", "é"]', None]
    assert vector.columns["sizes"].to_list() == ["[1.5, 2.0]", None]


def check_a_datetime_is_what_its_clock_shows() -> None:
    moment = QDateTime(QDate(2020, 1, 1), QTime(1, 0), Qt.TimeSpec.UTC)
    vector = features.read(layer_of({"at": (QVariant.DateTime, [moment])}, [None], "NoGeometry"))
    assert str(vector["at"][0]) == "2020-01-01T01:00:00.000"


def check_dates_that_are_none_are_missing() -> None:
    """QDate() is a date for QVariant, and has the Julian day -2**63."""
    days = {"day": (QVariant.Date, [QDate(), QDate(2020, 1, 1)])}
    vector = features.read(layer_of(days, [None, None], "NoGeometry"))
    assert vector.columns["day"].to_list()[0] is None and str(vector["day"][1]) == "2020-01-01"


def check_the_crs_is_wkt2() -> None:
    vector = features.read(layer_of({}, ["Point (1 2)"], "Point"))
    assert vector.crs.startswith("PROJCRS") and "25832" in vector.crs
    nowhere = layer_of({}, ["Point (1 2)"], "Point", "")
    nowhere.setCrs(QgsCoordinateReferenceSystem())
    assert features.read(nowhere).crs == ""


def check_layers_without_features_keep_their_fields() -> None:
    source = layer_of({**FIELDS, **CLOCK}, [], "MultiPolygonZ")
    vector = features.read(source)
    assert len(vector) == 0 and vector.geometry is not None
    back = sent_to("memory:", vector, "polygon")
    assert [f.type() for f in back.fields()] == [f.type() for f in source.fields()]
    assert back.featureCount() == 0 and back.wkbType() == QgsWkbTypes.Polygon


def check_cancel_ends_it_early_and_progress_is_told() -> None:
    vector = Vector.points(np.zeros((20_000, 2)), n=np.arange(20_000))
    told: list[float] = []
    layer = QgsVectorLayer("Point?field=n:int8", "made", "memory")
    features.write(vector, layer.dataProvider(), progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 5
    told.clear()
    assert len(features.read(layer, progress=told.append)) == 20_000
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 5
    assert 0 < len(features.read(layer, cancelled=lambda: True)) < 20_000
    answers = iter([False, True])
    half = QgsVectorLayer("Point?field=n:int8", "made", "memory")
    features.write(vector, half.dataProvider(), cancelled=lambda: next(answers))
    assert 0 < half.featureCount() < 20_000


def main() -> None:
    report: dict[str, Any] = {"checks": {}}
    for name, function in list(globals().items()):
        if name.startswith("check_"):
            try:
                function()
                report["checks"][name] = ""
            except Exception:
                report["checks"][name] = traceback.format_exc()
    report["million"] = host_qgis_million.legs(sent_to, CONTEXT, geopackage("million"))
    with open(SETTINGS["report"], "w", encoding="utf-8") as file:
        json.dump(report, file)


QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False, os.environ["QGIS_CUSTOM_CONFIG_PATH"])
application.initQgis()
main()
application.exitQgis()
