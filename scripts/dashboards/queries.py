"""PromQL as all panels write it: of the release that is chosen above the dashboard, and of no other."""

from typing import Final

CHOSEN: Final = 'namespace="$namespace", job="$job"'
REQUESTS: Final = "retrieval_request_duration_seconds"
FAQ: Final = "faq_retrieval_latency_seconds"
SEARCHES: Final = 'route=~"/search.*|/faq/search.*"'
API: Final = 'route!~"/health.*|/metrics|/schema.*|unmatched"'
"""What callers ask for: no probes, no scrapes, no paths that do not exist."""
FAILED: Final = ('status=~"5.."', 'status!="504"')
"""504 is what callers get who want a cached answer only."""
PODS: Final = 'namespace="$namespace", pod=~"$job-[^aeiou-]+-[^aeiou-]{5}"'
"""Of the Deployment, which is named as the job is. Kubernetes makes no vowels: `$job-redis-...` is another's."""
CONTAINERS: Final = f'{PODS}, container="retrieval"'


def of(metric: str, *matchers: str) -> str:
    """Select a metric's series of the chosen release."""
    return f"{metric}{{{', '.join((CHOSEN, *matchers))}}}"


def rate(metric: str, *matchers: str) -> str:
    """Return a counter's growth a second, series by series."""
    return f"rate({of(metric, *matchers)}[$__rate_interval])"


def total_rate(metric: str, *matchers: str, by: str = "") -> str:
    """Return a counter's growth a second, added up by labels."""
    return f"sum{f' by ({by})' if by else ''} ({rate(metric, *matchers)})"


def growth(metric: str, *matchers: str) -> str:
    """Return how much a counter grew in the range that is looked at."""
    return f"sum(increase({of(metric, *matchers)}[$__range]))"


def known(expression: str) -> str:
    """Leave out what is no number, as a part of nothing is: Grafana would name it in legends and show it as NaN."""
    return f"{expression} >= 0"


def quantile(fraction: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Return what so great a part of a histogram's values stays below."""
    labels = f"le, {by}" if by else "le"
    return known(f"histogram_quantile({fraction}, sum by ({labels}) ({rate(f'{histogram}_bucket', *matchers)}))")


def mean(histogram: str, *matchers: str, by: str = "") -> str:
    """Return the average of a histogram's values."""
    sums, counts = (total_rate(f"{histogram}_{part}", *matchers, by=by) for part in ("sum", "count"))
    return known(f"{sums} / {counts}")
