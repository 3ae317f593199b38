"""Dashboards as Grafana reads them. Nothing else knows its SDK."""

import json
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common as commons
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from scripts.dashboards.panels import Dashboard, Lines, Panel

SOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG: Final = "retrieval"
UNITS: Final = {"cores": "suffix: cores", "x": "suffix:x"}
HEIGHT: Final = {"graph": 8, "number": 4}
GREEN, YELLOW, RED = "green", "orange", "red"

Built = TypeVar("Built", timeseries.Panel, stat.Panel)


def rendered(page: Dashboard) -> str:
    """Return the JSON of a dashboard."""
    builder = (
        builders.Dashboard(page.title)
        .uid(f"retrieval-{page.name}")
        .description(page.about)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables([_datasource(), _choice("namespace", ""), _choice("job", 'namespace="$namespace"')])
        .link(_links())
    )
    place = 0
    for row in page.rows:
        place += 1
        builder.with_row(builders.Row(row.title).id(place))
        for panel in row.panels:
            place += 1
            builder.with_panel(_panel(panel).id(place))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _datasource() -> builders.DatasourceVariable:
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _choice(label: str, matchers: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(f"label_values(active_connections{{{matchers}}}, {label})")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _links() -> builders.DashboardLink:
    links = builders.DashboardLink("Retrieval").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return links.include_vars(include_vars=True).keep_time(keep_time=True).as_dropdown(as_dropdown=False)


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel:
    return _number(panel) if panel.kind == "number" else _graph(panel)


def _graph(panel: Panel) -> timeseries.Panel:
    legend = commons.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(show_legend=True)
    tooltip = commons.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    built = (
        _common(timeseries.Panel(), panel)
        .legend(legend.placement(common.LegendPlacement.BOTTOM))
        .tooltip(tooltip)
        .fill_opacity(20 if panel.is_stacked else 5)
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .min(0)
    )
    if panel.is_stacked:
        built.stacking(commons.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.most is not None:
        built.max(panel.most)
    if panel.lines:
        built.thresholds_style(commons.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    return built


def _number(panel: Panel) -> stat.Panel:
    built = (
        _common(stat.Panel(), panel)
        .reduce_options(commons.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.BACKGROUND if panel.lines else common.BigValueColorMode.VALUE)
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .no_value(panel.if_nothing)
    )
    if panel.words:
        words = {value: dashboard.ValueMappingResult(text=text) for value, text in panel.words}
        built.mappings([dashboard.ValueMap(words)])
    return built


def _common(built: Built, panel: Panel) -> Built:
    built.title(panel.title).description(panel.about).datasource(SOURCE).unit(UNITS.get(panel.unit, panel.unit))
    built.span(panel.width).height(HEIGHT[panel.kind]).thresholds(_thresholds(panel.lines))
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + place)).datasource(SOURCE)
        target.legend_format(query.legend or "__auto")
        # A number is of now: of a range it would still show what was before its series ended.
        built.with_target(target.instant() if panel.kind == "number" else target.range())
    return built


def _thresholds(lines: Lines | None) -> builders.ThresholdsConfig:
    steps: list[tuple[float | None, str]] = [(None, GREEN)]
    if lines and lines.is_low_bad:
        steps = [(None, RED), (lines.critical, YELLOW), (lines.warning, GREEN)]
    elif lines:
        steps += [(lines.warning, YELLOW), (lines.critical, RED)]
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value, color) for value, color in steps])
    )
