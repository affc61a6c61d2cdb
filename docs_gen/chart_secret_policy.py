"""The admission policy by which a user may name only Secrets that they may read, from the spec's model.

Without it, whoever may make a TweetBot could have a pod use a Secret that they cannot read themselves (a confused
deputy). The apiserver asks its own authorizer about the user who sends the request; the operator has no part in it.
"""

from tweetbot_api.names import GROUP, PLURAL, VERSION
from tweetbot_api.secret_fields import Path, secret_paths

_HEAD = f"""{{{{- /* Generated from the spec's model by `make generate`; edit docs_gen/chart_secret_policy.py. */ -}}}}
{{{{- if .Values.secretPolicy.create }}}}
{{{{- $name := printf "%s-secrets" (include "tweetbot-operator.fullname" .) }}}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{{{ $name }}}}
  labels:
    {{{{- include "tweetbot-operator.labels" . | nindent 4 }}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [{GROUP}]
        apiVersions: [{VERSION}]
        operations: [CREATE, UPDATE]
        resources: [{PLURAL}]
  matchConditions:
    # The operator may read no Secret; what it makes for a TweetBotBatch is checked where the user makes the batch.
    - name: not-the-operator
      expression: >-
        request.userInfo.username != 'system:serviceaccount:{{{{ .Release.Namespace }}}}:{{{{
        include "tweetbot-operator.fullname" . }}}}'
    # Labels, annotations and finalizers may be written by anybody who may write them.
    - name: a-new-spec
      expression: oldObject == null || object.spec != oldObject.spec
  validations:
"""
_TAIL = """---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "tweetbot-operator.labels" . | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
  {{- with .Values.namespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
{{- end }}
"""


def render_secret_policy() -> str:
    """Return templates/secretpolicy.yaml."""
    return _HEAD + "".join(map(_validation, secret_paths())) + _TAIL


def build_expression(path: Path) -> str:
    """Return the CEL expression that holds unless the field names a Secret that the user may not read."""
    fields = ["object.spec" + "".join(f".{name}" for name in path[:depth]) for depth in range(1, len(path) + 1)]
    absent = " || ".join(f"!has({field})" for field in fields)
    secrets = "authorizer.group('').resource('secrets').namespace(request.namespace)"
    return f"{absent} || {secrets}.name({fields[-1]}.name).check('get').allowed()"


def _validation(path: Path) -> str:
    field = ".".join(("spec", *path, "name"))
    return (
        f"    - expression: >-\n        {build_expression(path)}\n"
        f"      reason: Forbidden\n"
        f"      messageExpression: >-\n"
        f"        '{field}: you may not read the Secret ' + object.{field} +\n"
        f"        ' in namespace ' + request.namespace + '; name one that you may get, or ask for that right'\n"
    )
