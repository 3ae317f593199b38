"""What PromQL of panels and alerts asks for: the names of its metrics, and the values that it compares."""

import re

import yaml
from msgspec import Struct

from tests.observability.watched import NAMESPACE, RULES

WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
LEFT_OUT = (
    r'"(?:[^"\\]|\\.)*"',  # strings first: they may hold braces
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
)
COMPARISON = re.compile(r"\s*(?:>=|<=|==|!=|>|<)\s*(?:\([\d.*\s]+\)|[\d.]+)")


class Rule(Struct, frozen=True):
    """An alert or a recorded series."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]
    is_alert: bool


def rules() -> list[Rule]:
    """Return all rules of the chart, in the order of their files."""
    groups = [group for path in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return [
        Rule(
            rule.get("alert") or rule["record"],
            rule["expr"],
            rule.get("labels", {}),
            rule.get("annotations", {}),
            "alert" in rule,
        )
        for group in groups
        for rule in group["rules"]
    ]


def names_in(expression: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    for pattern in LEFT_OUT:
        expression = re.sub(pattern, " ", expression)
    found = re.finditer(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\(?)", expression)
    return {name for name, is_call in (match.groups() for match in found) if not is_call and name not in WORDS}


def operands(expression: str) -> list[str]:
    """Return what an alert compares: its parts without their comparisons, each of which has a value while all is well.

    Only what stands between `and` and `unless` outside of brackets is a part.
    """
    parts, depth, begun = [], 0, 0
    for token in re.finditer(r"[({\[]|[)}\]]|\b(?:and|unless)\b(?:\s+on\s*\([^)]*\))?", expression):
        if token[0][0] in "({[":
            depth += 1
        elif token[0] in ")}]":
            depth -= 1
        elif not depth:
            parts.append(expression[begun : token.start()])
            begun = token.end()
    return [COMPARISON.sub("", part) for part in [*parts, expression[begun:]]]


def filled(expression: str, job: str) -> str:
    """Put values in place of variables, as Grafana does."""
    values = {"namespace": NAMESPACE, "job": job, "__rate_interval": "10s", "__range": "1m"}
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
