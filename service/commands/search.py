"""`retrieval search`: a query to a running service, its hits or answers as a table."""

import sys
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.commands.client import Answer, Client, talks_to_service
from service.commands.texts import printable, snippet

SNIPPET_CHARACTERS = 240


class JsonObject(click.ParamType[dict[str, Any]]):
    """An option's value that is a JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Decode it; click says which option is wrong."""
        try:
            return msgspec.json.decode(value, type=dict[str, Any])
        except ValueError as error:
            self.fail(f"""{error}; write an object such as '{{"status": "Final"}}'.""", param, ctx)


@click.command()
@click.argument("query")
@click.option("-c", "--collection", help="Where to search.  [default: documents; faq with --faq]")
@click.option("--faq", is_flag=True, help="Search the entries of a FAQ collection.")
@click.option("-n", "--limit", type=click.IntRange(1, 50), help="At most so many results.  [default: 10]")
@click.option("--mode", type=click.Choice(["hybrid", "vector", "keyword"]), help="Which legs.  [default: hybrid]")
@click.option("--alpha", type=click.FloatRange(0, 1), help="1 = vector only, 0 = keyword only.  [default: 0.7]")
@click.option("--fusion", type=click.Choice(["relative", "rrf"]), help="How legs are joined.  [default: relative]")
@click.option("--minimum-score", type=float, help="Leave out what is less similar (cosine).")
@click.option("--filter", "filters", type=JsonObject(), help="""Conditions, such as '{"status": ["Final"]}'.""")
@click.option("--json", "as_json", is_flag=True, help="Print the service's answer as it came.")
@talks_to_service
def search(client: Client, *, query: str, faq: bool, as_json: bool, **options: Any) -> None:
    """Search a collection and print the best passages, or with --faq the best answers."""
    answer = client.post("/faq/search" if faq else "/search", request_body(query, options, is_faq=faq))
    if as_json:
        sys.stdout.write(msgspec.json.encode(answer.data).decode() + "\n")
        return
    console = Console()
    found = answer.data["answers" if faq else "hits"]
    if found:
        console.print(_answers_table(found) if faq else _hits_table(found))
    console.print(_footer(answer, len(found)), markup=False, highlight=False, soft_wrap=True)


def request_body(query: str, options: dict[str, Any], *, is_faq: bool) -> dict[str, Any]:
    """Return the request: what was not given is left to the service's defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    if is_faq and (wrong := given.keys() & {"mode", "alpha", "fusion"}):
        raise click.UsageError(f"A FAQ is searched by similarity alone: leave out {', '.join(sorted(wrong))}.")
    if "minimum_score" in given and not is_faq:
        given["minimum_vector_score"] = given.pop("minimum_score")
    return given | {"query": query.encode(errors="replace").decode()}


def _hits_table(hits: list[dict[str, Any]]) -> Table:
    table = Table("score", "document", "passage", show_lines=True)
    for hit in hits:
        document = Text.assemble((printable(hit["title"]), "bold"), "\n", f"{hit['document_id']} #{hit['position']}")
        table.add_row(f"{hit['score']:.3f}", document, Text(snippet(hit["text"], SNIPPET_CHARACTERS)))
    return table


def _answers_table(answers: list[dict[str, Any]]) -> Table:
    table = Table("score", "question", "answer", show_lines=True)
    for answer in answers:
        question = Text(printable(answer["question"]), "bold")
        if answer["matched_question"] != answer["question"]:
            question.append(f"\nmatched: {printable(answer['matched_question'])}", "not bold")
        table.add_row(f"{answer['score']:.3f}", question, Text(printable(answer["answer"])))
    return table


def _footer(answer: Answer, count: int) -> str:
    times = dict(answer.milliseconds)
    total = times.pop("total", 0.0)
    stages = ", ".join(f"{name} {duration:.1f}" for name, duration in times.items())
    lines = [f"{count} found in {total:.1f} ms" + (f" ({stages})" if stages else "")]
    if not count:
        lines.append("Nothing is similar enough, or meets the filters; --minimum-score lowers the threshold.")
    if answer.data.get("truncated"):
        lines.append("The query is longer than the model's window: its end was not read.")
    if degraded := answer.data.get("degraded"):
        lines.append(f"Degraded: the {', '.join(degraded)} leg failed, the other answered alone.")
    return "\n".join(lines)
