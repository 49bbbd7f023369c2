{{/* A Job's labels: where it belongs, and its stage. */}}
{{- define "mura-jobs.jobLabels" -}}
{{ include "mura-jobs.selector" .root }}
mura-jobs/stage: {{ .job.stage }}
mura-jobs/job: {{ .job.key }}
{{- end -}}

{{/* Pods that must succeed. */}}
{{- define "mura-jobs.completions" -}}
{{- max (int (.completions | default 1)) (int (.nodes | default 1)) -}}
{{- end -}}

{{- define "mura-jobs.ttl" -}}
{{- if not (kindIs "invalid" .ttlSeconds) }}
ttlSecondsAfterFinished: {{ int .ttlSeconds }}
{{- end }}
{{- end -}}

{{/* Everything of a Job that can't change while it exists, and its deadlines. */}}
{{- define "mura-jobs.jobSpec" -}}
{{- $able := include "mura-jobs.abilities" .root | fromYaml -}}
{{- $settings := .settings -}}
{{- $nodes := int (.job.nodes | default 1) -}}
{{- $completions := include "mura-jobs.completions" .job | int -}}
{{- if gt $completions 1 }}
completionMode: Indexed
completions: {{ $completions }}
{{- end }}
{{- if and (gt $completions 1) (eq $nodes 1) $able.limitPerIndex }}
backoffLimitPerIndex: {{ $settings.retries }}
{{- if .job.shards }}
# one share that can't be done makes the others' work useless
maxFailedIndexes: 0
{{- end }}
{{- else if and (eq .job.stage "preflight") (not $able.podFailurePolicy) }}
# without a podFailurePolicy nothing else keeps a wrong configuration from being retried
backoffLimit: 0
{{- else }}
backoffLimit: {{ mul $settings.retries $completions }}
{{- end }}
{{- with $settings.deadlineSeconds }}
activeDeadlineSeconds: {{ int . }}
{{- end }}
{{- include "mura-jobs.ttl" $settings }}
{{- if $able.podFailurePolicy }}
podFailurePolicy:
  rules:
    - action: FailJob # 64 wrong configuration, 65 unusable input
      onExitCodes: {containerName: stage, operator: In, values: [64, 65]}
    - action: Ignore # evicted or preempted
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
    - action: Ignore # stopped after a checkpoint
      onExitCodes: {containerName: stage, operator: In, values: [143]}
{{- end }}
template:
  metadata:
    labels:
      {{- include "mura-jobs.jobLabels" . | nindent 6 }}
      {{- with $settings.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $settings.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- include "mura-jobs.podSpec" . | nindent 4 }}
{{- end -}}

{{/* Pods at the same time. */}}
{{- define "mura-jobs.parallelism" -}}
{{- $completions := include "mura-jobs.completions" .job | int -}}
{{- min $completions (int (.settings.parallelism | default $completions)) -}}
{{- end -}}

{{/* A Job's name. It carries a hash of the spec: a changed Job is another Job. */}}
{{- define "mura-jobs.jobName" -}}
{{- $name := printf "%s-%s" (include "mura-jobs.run" .root) .job.key -}}
{{- $text := printf "%s %v" (include "mura-jobs.jobSpec" . | fromYaml | toJson) .others -}}
{{- include "mura-jobs.hashed" (dict "root" .root "name" $name "text" $text) -}}
{{- end -}}

{{/* Whether the nodes of this Job are held together by a JobSet. */}}
{{- define "mura-jobs.isJobSet" -}}
{{- if and .root.Values.jobSet.enabled (gt (int .job.nodes) 1) }}true{{ end -}}
{{- end -}}

{{/* The Job or JobSet itself. One that exists keeps its gate as it is: an upgrade closes none that was opened. */}}
{{- define "mura-jobs.job" -}}
{{- $ := .root -}}
{{- $able := include "mura-jobs.abilities" $ | fromYaml -}}
{{- $name := include "mura-jobs.jobName" . -}}
{{- $parallelism := include "mura-jobs.parallelism" . -}}
{{- $jobSet := include "mura-jobs.isJobSet" . -}}
{{- $apiVersion := ternary "jobset.x-k8s.io/v1alpha2" "batch/v1" (eq $jobSet "true") -}}
{{- $kind := ternary "JobSet" "Job" (eq $jobSet "true") -}}
{{- $gated := and (eq $.Values.orchestration "driver") (not (has .job.stage (list "preflight" "driver"))) -}}
{{- $queue := ternary "" $.Values.kueue.queueName (eq .job.stage "driver") -}}
{{- $live := lookup $apiVersion $kind $.Release.Namespace $name -}}
{{- $held := and $gated (not (dig "metadata" "annotations" "mura-jobs/opened" "" $live)) -}}
apiVersion: {{ $apiVersion }}
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  labels:
    {{- include "mura-jobs.jobLabels" . | nindent 4 }}
    {{- if $queue }}
    # an unknown queue holds the Job back, and keeps Kueue from giving it the queue named default
    kueue.x-k8s.io/queue-name: {{ ternary "mura-jobs-gate" $queue $held }}
    {{- with $.Values.kueue.priorityClass }}
    kueue.x-k8s.io/priority-class: {{ . }}
    {{- end }}
    {{- end }}
  annotations:
    mura-jobs/places: {{ .job.places | default list | join " " | quote }}
    {{- if and $gated $queue }}
    mura-jobs/queue: {{ $queue }}
    {{- else if and $gated (not $able.suspend) }}
    mura-jobs/parallelism: {{ $parallelism | quote }}
    {{- end }}
spec:
  {{- if and (ne $.Values.orchestration "argo") (or $queue (and $gated $able.suspend)) }}
  suspend: {{ ternary true (dig "spec" "suspend" true $live) $held }}
  {{- end }}
  {{- if $jobSet }}
  {{- include "mura-jobs.ttl" .settings | nindent 2 }}
  failurePolicy:
    maxRestarts: {{ .settings.retries }}
    rules:
      - action: FailJobSet
        onJobFailureReasons: [PodFailurePolicy]
  replicatedJobs:
    - name: node
      template:
        metadata:
          labels:
            {{- include "mura-jobs.jobLabels" . | nindent 12 }}
        spec:
          parallelism: {{ $parallelism }}
          {{- /* counting failures and removing what ended is the JobSet's part */}}
          {{- $once := unset (set (deepCopy .settings) "retries" 0) "ttlSeconds" }}
          {{- include "mura-jobs.jobSpec" (dict "root" $ "job" .job "settings" $once) | nindent 10 }}
  {{- else }}
  parallelism: {{ ternary "0" $parallelism (and $held (not $able.suspend)) }}
  {{- include "mura-jobs.jobSpec" . | nindent 2 }}
  {{- end }}
{{- end -}}
