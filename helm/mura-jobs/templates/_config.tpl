{{/* The run's labels, kind of generators, arms and seeds: those of the values, or the defaults of the Config classes. */}}
{{- define "mura-jobs.repeats" -}}
{{- $defaults := .Files.Get "files/defaults.json" | fromJson -}}
{{- range $key := list "labels" "conditional" "arms" "seeds" }}
{{ $key }}: {{ get $.Values $key | default (get $defaults $key) | toJson }}
{{- end }}
{{- end -}}

{{/* The configuration file: the whole run's, or for one stage what it reads, so that a change of one stage leaves
the other stages' Jobs as they are. */}}
{{- define "mura-jobs.configFile" -}}
{{- $repeats := has .stage (list "report" "preflight" "driver") -}}
{{- $config := ternary (include "mura-jobs.repeats" .root | fromYaml) dict $repeats -}}
{{- $all := list "phantom" "preprocess" "train-gan" "synthesize" "import-grid" "train-cnn" "report" -}}
{{- range $stage := ternary (list .stage) $all (has .stage $all) }}
{{- $section := get $.root.Values $stage }}
{{- if or $section.config (and (eq $stage "phantom") $section.enabled) }}
{{- $_ := set $config $stage ($section.config | default dict) }}
{{- end }}
{{- end }}
{{- toYaml $config -}}
{{- end -}}

{{/* What a stage's pods are told. An endpoint of null leaves the choice to boto3. */}}
{{- define "mura-jobs.parameters" -}}
bucket: {{ include "mura-jobs.bucketUrl" .root | quote }}
endpoint: {{ include "mura-jobs.endpoint" .root | default "null" | quote }}
run-id: {{ include "mura-jobs.run" .root | quote }}
run.yaml: |-
  {{- include "mura-jobs.configFile" . | nindent 2 }}
{{- end -}}

{{- define "mura-jobs.configMap" -}}
{{- $name := printf "%s-%s" (include "mura-jobs.run" .root) .stage -}}
{{- include "mura-jobs.hashed" (dict "root" .root "name" $name "text" (include "mura-jobs.parameters" .)) -}}
{{- end -}}

{{- define "mura-jobs.bucketUrl" -}}
{{- $development := ternary "s3://mura-jobs" "" .Values.developmentBucket.enabled -}}
{{- .Values.bucket.url | default $development -}}
{{- end -}}

{{- define "mura-jobs.endpoint" -}}
{{- if .Values.developmentBucket.enabled -}}
{{- $host := ternary "127.0.0.1" (printf "%s-bucket" (include "mura-jobs.run" .)) .Values.developmentBucket.hostNetwork -}}
{{- printf "http://%s:8333" $host -}}
{{- else -}}
{{- .Values.bucket.endpoint -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.bucketSecret" -}}
{{- $development := ternary (printf "%s-bucket" (include "mura-jobs.run" .)) "" .Values.developmentBucket.enabled -}}
{{- .Values.bucket.existingSecret | default $development -}}
{{- end -}}

{{/* What a stage's pods have: the defaults, and the stage's section over them. */}}
{{- define "mura-jobs.settings" -}}
{{- mustMergeOverwrite (deepCopy .root.Values.jobDefaults) (deepCopy (get .root.Values .stage)) | toYaml -}}
{{- end -}}

{{/* Processes that train together in a pod. */}}
{{- define "mura-jobs.processes" -}}
{{- max 1 (int .processes | default (int .gpus)) -}}
{{- end -}}
