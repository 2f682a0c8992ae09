"""Read a metric as Prometheus would, through its public `collect`."""

from prometheus_client.registry import Collector


def value_of(metric: Collector) -> float:
    """Sum the values of a counter or gauge, or of one series of it."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if not sample.name.endswith("_created"))
