{{/* Id of the run, and the beginning of every name. */}}
{{- define "mura-jobs.run" -}}
{{- .Values.run | default .Release.Name -}}
{{- end -}}

{{/* A name's part from any text: "real+synthetic-x0.5" becomes "real-synthetic-x0-5". */}}
{{- define "mura-jobs.slug" -}}
{{- regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" -}}
{{- end -}}

{{/* Labels that say what belongs together. They are part of the Jobs' hashed specs: no versions here. */}}
{{- define "mura-jobs.selector" -}}
app.kubernetes.io/name: mura-jobs
app.kubernetes.io/instance: {{ .Release.Name }}
mura-jobs/run: {{ include "mura-jobs.run" . }}
{{- end -}}

{{- define "mura-jobs.labels" -}}
{{ include "mura-jobs.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mura-jobs.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "mura-jobs.run" .) -}}
{{- end -}}

{{/* First eight digits of a text's sha256, behind names of what can't be changed in place. Plain manifests are
named by hand, so theirs stay as they are. */}}
{{- define "mura-jobs.hashed" -}}
{{- if eq .root.Values.orchestration "manual" -}}
{{- .name -}}
{{- else -}}
{{- printf "%s-%s" .name (printf "%v %s" .root.Values.attempt .text | sha256sum | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* Repository and tag or digest. What has no image of its own rides on preprocess's, or on synthesize's if it gates
images as that does. */}}
{{- define "mura-jobs.image" -}}
{{- $stage := ternary .stage "preprocess" (has .stage (list "train-gan" "synthesize" "train-cnn")) -}}
{{- $stage = ternary "synthesize" $stage (eq .stage "import-grid") -}}
{{- $image := .root.Values.image -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $image.repository) $stage -}}
{{- with get $image.digests $stage -}}
{{- printf "%s@%s" $name . -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.kubeVersion" -}}
{{- .Values.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- end -}}

{{/* What the cluster's version can do. */}}
{{- define "mura-jobs.abilities" -}}
{{- $version := include "mura-jobs.kubeVersion" . -}}
indexed: {{ semverCompare ">=1.22.0-0" $version }}
suspend: {{ semverCompare ">=1.22.0-0" $version }}
podFailurePolicy: {{ semverCompare ">=1.26.0-0" $version }}
limitPerIndex: {{ semverCompare ">=1.29.0-0" $version }}
{{- end -}}
