"""The admission policy by which a user may name only Secrets that they may read, from the spec's model.

Without it, whoever may make a TweetBot could have a pod use a Secret that they cannot read themselves (a confused
deputy). The apiserver asks its own authorizer about the user who sends the request; the operator has no part in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tweetbot_api.bot_batch import TweetBotBatchSpec
from tweetbot_api.names import BATCH_PLURAL, GROUP, PLURAL, VERSION
from tweetbot_api.secret_fields import Path, secret_paths

_HEAD = f"""{{{{- /* Generated from the models by `make generate`; edit docs_gen/chart_secret_policy.py. */ -}}}}
{{{{- if .Values.secretPolicy.create }}}}
{{{{- $name := printf "%s-NAME" (include "tweetbot-operator.fullname" .) }}}}
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
        resources: [PLURAL]
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
    """Return templates/secretpolicy.yaml, which guards TweetBots."""
    return _render("secrets", PLURAL, [_Named("secrets", path) for path in secret_paths()])


def render_batch_secret_policy() -> str:
    """Return templates/secretpolicy-batch.yaml, which guards TweetBotBatches: also the ConfigMap of their handles."""
    named = [_Named("secrets", path) for path in secret_paths(TweetBotBatchSpec)]
    return _render("batch-secrets", BATCH_PLURAL, [*named, _Named("configmaps", ("handlesFrom", "configMap"))])


def build_expression(path: Path, resource: str = "secrets") -> str:
    """Return the CEL expression that holds unless the field names an object that the user may not read."""
    fields = ["object.spec" + "".join(f".{name}" for name in path[:depth]) for depth in range(1, len(path) + 1)]
    absent = " || ".join(f"!has({field})" for field in fields)
    objects = f"authorizer.group('').resource('{resource}').namespace(request.namespace)"
    return f"{absent} || {objects}.name({fields[-1]}.name).check('get').allowed()"


@dataclass(frozen=True, slots=True)
class _Named:
    """A field that names an object."""

    resource: str
    path: Path


def _render(name: str, plural: str, fields: Iterable[_Named]) -> str:
    head = _HEAD.replace("NAME", name, 1).replace("PLURAL", plural, 1)
    return head + "".join(map(_validation, fields)) + _TAIL


def _validation(named: _Named) -> str:
    field = ".".join(("spec", *named.path, "name"))
    kind = {"secrets": "Secret", "configmaps": "ConfigMap"}[named.resource]
    return (
        f"    - expression: >-\n        {build_expression(named.path, named.resource)}\n"
        f"      reason: Forbidden\n"
        f"      messageExpression: >-\n"
        f"        '{field}: you may not read the {kind} ' + object.{field} +\n"
        f"        ' in namespace ' + request.namespace + '; name one that you may get, or ask for that right'\n"
    )
