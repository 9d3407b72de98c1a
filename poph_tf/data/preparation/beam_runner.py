"""The conversion of chunks as an Apache Beam pipeline.

    read the source in chunks -> reshuffle -> convert each chunk into the staging folder

The same functions as in the local workers, so that Dataflow, Flink or Spark can run
them; what follows (duplicates, splits, shards) moves bytes only and stays where the
command was started. The output folder must be one that all machines see.
"""

import shlex

from poph_tf.data.preparation import sources, staging, workers
from poph_tf.errors import InputError


def convert_all(settings, store, options=""):
    """Converts all items of the source.

    Args:
        settings: Settings.
        store: staging.Staging, empty.
        options: str. Options of the pipeline, such as "--runner=FlinkRunner ...".

    Returns:
        list of str, the keys of the chunks in the source's order.

    Raises:
        InputError: If Apache Beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise InputError(
            "--runner=beam needs Apache Beam: pip install 'poph_tf[beam]'."
        ) from None
    flags = PipelineOptions(shlex.split(options), save_main_session=False)
    with beam.Pipeline(options=flags) as pipeline:
        _ = (
            pipeline
            | "Source" >> beam.Create([settings])
            | "Read" >> beam.FlatMap(_chunks)
            # Reading is one thread's work; what follows is spread over all workers.
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.Map(_convert, settings, store)
        )
    return store.keys()


def _chunks(settings):
    return staging.chunks(sources.walk(settings))


def _convert(chunk, settings, store):
    return workers.convert_chunk(chunk, {}, settings, store).key
