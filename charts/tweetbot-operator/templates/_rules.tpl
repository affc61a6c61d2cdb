{{- /* Generated from operator/tweetbot_operator/permissions.py by `make generate`; edit that table. */ -}}

{{- define "tweetbot-operator.rules.namespaced" -}}
# to know what is wanted, for the finalizer of a bot whose files are deleted with it (deletionPolicy), and to make the bots of a TweetBotBatch and try them again (spec.runID)
- apiGroups: [tweetbot.dev]
  resources: [tweetbots]
  verbs: [get, list, watch, create, patch]
# to know which bots are wanted
- apiGroups: [tweetbot.dev]
  resources: [tweetbotbatches]
  verbs: [get, list, watch]
# to report
- apiGroups: [tweetbot.dev]
  resources: [tweetbots/status, tweetbotbatches/status]
  verbs: [patch]
# to make bots that a foreground deletion of their TweetBotBatch waits for, where the cluster asks for that
- apiGroups: [tweetbot.dev]
  resources: [tweetbotbatches/finalizers]
  verbs: [update]
# to run prepare and train Jobs, and to delete those of a superseded run
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# to see why a Job waits or failed, and whose token speaks to the progress server
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# to hand the run manifest to a Job by server-side apply, to see whether a shared Job has its own, and to read the handles of a TweetBotBatch; the ConfigMap it names is one that its author may read
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch]
# to let the pods of a training of several nodes find each other; Services are never read
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch]
# to tell why a Job waits in its queue; of no use where Kueue is not installed
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
# to tell at which place of its queue a Job waits
- apiGroups: [visibility.kueue.x-k8s.io]
  resources: [localqueues/pendingworkloads]
  verbs: [get]
# to tell of a run's turns, and to read what only an Event says: why a pod is refused or does not start
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end }}

{{- define "tweetbot-operator.rules.ownNamespace" -}}
# so that only one replica acts
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end }}

{{- define "tweetbot-operator.rules.clusterWide" -}}
# to ask whose token a trainer sends; TokenReviews have no namespace
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
