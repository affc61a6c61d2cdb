"""The chart's copies of the CRDs: templates, because Helm never upgrades what lies in a chart's `crds/` folder."""

from tweetbot_api.crd import HEADER, Resource, render

METADATA = "metadata:\n"
ANNOTATIONS = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
  labels:
    {{- include "tweetbot-operator.labels" . | nindent 4 }}
"""


def render_crd_template(resource: Resource) -> str:
    """Return a template of the CRD with the chart's labels, and the annotation that keeps it."""
    crd = render(resource).removeprefix(HEADER)
    if "{{" in crd:
        raise ValueError("the CRD contains {{, which Helm would take for a template: reword the description")
    before, after = crd.split(METADATA, 1)
    return f"{HEADER}{{{{- if .Values.crds.install }}}}\n{before}{METADATA}{ANNOTATIONS}{after}{{{{- end }}}}\n"
