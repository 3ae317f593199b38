"""`python -m scripts.chart`: write what follows from the chart and the settings; tests hold them equal."""

from scripts.chart.generated import SCHEMA, files_beside, schema_text

SCHEMA.write_text(schema_text())
for file, content in files_beside().items():
    file.write_text(content)
