{{/* What the schema can't say: values that contradict each other, and names that grow too long. */}}
{{- define "mura-jobs.check" -}}
{{- include "mura-jobs.checkRun" . -}}
{{- include "mura-jobs.checkBucket" . -}}
{{- include "mura-jobs.checkPipeline" . -}}
{{- include "mura-jobs.checkTraining" . -}}
{{- include "mura-jobs.checkQueue" . -}}
{{- include "mura-jobs.checkJobs" . -}}
{{- end -}}

{{- define "mura-jobs.checkRun" -}}
{{- $run := include "mura-jobs.run" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $run) -}}
{{- fail (printf "run %q can't begin the names of Jobs: use lower-case letters, digits and \"-\", a letter first: --set run=NAME" $run) -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.checkBucket" -}}
{{- if not (include "mura-jobs.bucketUrl" .) -}}
{{- fail "bucket.url is empty: --set bucket.url=s3://BUCKET/PREFIX, or developmentBucket.enabled=true to try things out" -}}
{{- end -}}
{{- if .Values.developmentBucket.enabled -}}
{{- range $key := list "endpoint" "existingSecret" "caConfigMap" -}}
{{- if get $.Values.bucket $key -}}
{{- fail (printf "bucket.%s is for a bucket of your own, and developmentBucket.enabled brings another: set only one of them" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.bucket.endpoint (hasPrefix "file:" .Values.bucket.url) -}}
{{- fail (printf "bucket.endpoint: a folder (%s) has no endpoint; remove it" .Values.bucket.url) -}}
{{- end -}}
{{- if and .Values.bucket.existingSecret .Values.serviceAccount.annotations -}}
{{- fail "bucket.existingSecret holds keys, which take precedence over the workload identity in serviceAccount.annotations: set only one of them" -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.checkPipeline" -}}
{{- $repeats := include "mura-jobs.repeats" . | fromYaml -}}
{{- range $arm := $repeats.arms -}}
{{- if regexMatch "^real-[xn]" $arm -}}
{{- fail (printf "arm %s: real takes no amount, as it has no extra images: write real-duplicated or real+synthetic, or remove the amount" $arm) -}}
{{- end -}}
{{- if regexMatch "^synthetic-only.*-f" $arm -}}
{{- fail (printf "arm %s: synthetic-only takes no share of the real patients: remove -f…" $arm) -}}
{{- end -}}
{{- if and (contains "synthetic" $arm) (lt (len $repeats.labels) 2) -}}
{{- fail (printf "arm %s needs synthetic radiographs of both labels: set labels to [positive, negative] or remove the arm" $arm) -}}
{{- end -}}
{{- end -}}
{{- $source := dig "source" "" .Values.preprocess.config -}}
{{- if and .Values.phantom.enabled (not (hasPrefix "raw/phantom" $source)) -}}
{{- fail (printf "phantom.enabled generates radiographs under raw/phantom, but preprocess reads %s: set preprocess.config.source to raw/phantom/MURA-PHANTOM" ($source | default "its default")) -}}
{{- end -}}
{{- range $stage := list "phantom" "import-grid" -}}
{{- $section := get $.Values $stage -}}
{{- if and $section.config (not $section.enabled) -}}
{{- fail (printf "%s.config is set, but %s.enabled is false: set it to true or remove the configuration" $stage $stage) -}}
{{- end -}}
{{- end -}}
{{- $grids := index .Values "import-grid" -}}
{{- if and $grids.enabled (not (dig "source" "" $grids.config)) -}}
{{- fail "import-grid.enabled cuts radiographs out of sample grids, but not which: set import-grid.config.source" -}}
{{- end -}}
{{- if and $grids.enabled $repeats.conditional -}}
{{- fail "conditional: with import-grid no generator is trained; leave one of them out" -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.checkTraining" -}}
{{- range $stage := list "train-gan" "synthesize" "train-cnn" -}}
{{- $settings := include "mura-jobs.settings" (dict "root" $ "stage" $stage) | fromYaml -}}
{{- $processes := include "mura-jobs.processes" $settings | int -}}
{{- if and (int $settings.gpus) (ne $processes (int $settings.gpus)) -}}
{{- fail (printf "%s.processes is %d with %d GPUs: each process takes one GPU, so leave processes out" $stage $processes (int $settings.gpus)) -}}
{{- end -}}
{{- if and (eq $stage "synthesize") (gt $processes 1) -}}
{{- fail (printf "synthesize shares its work among pods, not among processes: set synthesize.gpus to 1 and synthesize.shards to %d" $processes) -}}
{{- end -}}
{{- $world := mul $processes (int ($settings.nodes | default 1)) -}}
{{- $batch := int (dig "batch" 0 $settings.config) -}}
{{- if and $batch (mod $batch $world) -}}
{{- fail (printf "%s.config.batch is %d, which %d processes can't share evenly: use a multiple of %d" $stage $batch $world $world) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.jobSet.enabled (lt (int (index .Values "train-gan").nodes) 2) -}}
{{- fail "jobSet.enabled holds the nodes of a training together, but train-gan.nodes is 1: raise it or disable jobSet" -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.checkQueue" -}}
{{- if and .Values.kueue.priorityClass (not .Values.kueue.queueName) -}}
{{- fail "kueue.priorityClass has no effect without kueue.queueName: set it to a LocalQueue of this namespace" -}}
{{- end -}}
{{- $served := .Capabilities.APIVersions -}}
{{- range $version := list "kueue.x-k8s.io/v1beta2" "kueue.x-k8s.io/v1beta1" -}}
{{- if and (not $.Values.kueue.queueName) ($served.Has (printf "%s/LocalQueue" $version)) -}}
{{- if lookup $version "LocalQueue" $.Release.Namespace "default" -}}
{{- fail (printf "namespace %s has a LocalQueue named default, which Kueue gives to every Job without a queue: all stages would start at once. Set kueue.queueName=default, and the driver hands them over in order" $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mura-jobs.checkJobs" -}}
{{- $able := include "mura-jobs.abilities" . | fromYaml -}}
{{- $names := dict -}}
{{- $longest := 0 -}}
{{- $longestName := "" -}}
{{- range $job := include "mura-jobs.jobs" . | fromYamlArray -}}
{{- $context := dict "root" $ "job" $job "settings" (include "mura-jobs.settings" (dict "root" $ "stage" $job.stage) | fromYaml) -}}
{{- $name := include "mura-jobs.jobName" $context -}}
{{- if hasKey $names $name -}}
{{- fail (printf "two Jobs would be named %s: name each label and arm once" $name) -}}
{{- end -}}
{{- $_ := set $names $name true -}}
{{- $pods := max (int ($job.completions | default 1)) (int ($job.nodes | default 1)) -}}
{{- $behind := ternary (len (printf "-%d" (sub $pods 1))) 0 (gt $pods 1) -}}
{{- if include "mura-jobs.isJobSet" $context -}}{{- $behind = add $behind (len "-node-0") (len "-xxxxx") -}}{{- end -}}
{{- if gt (add (len $name) $behind) $longest -}}
{{- $longest = add (len $name) $behind -}}
{{- $longestName = $name -}}
{{- end -}}
{{- if and (gt $pods 1) (not $able.indexed) -}}
{{- fail (printf "%s has %d pods, which takes Indexed Jobs; Kubernetes %s has none: set %s.%s to 1" $job.stage $pods (include "mura-jobs.kubeVersion" $) $job.stage (ternary "nodes" "shards" (hasKey $job "nodes"))) -}}
{{- end -}}
{{- if and $context.settings.deadlineSeconds (eq $.Values.orchestration "driver") (ne $job.stage "preflight") (not $able.suspend) -}}
{{- fail (printf "%s.deadlineSeconds would count while the Job waits for its turn, as Kubernetes %s can't suspend Jobs: remove it" $job.stage (include "mura-jobs.kubeVersion" $)) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $longest) 63 -}}
{{- fail (printf "a pod of Job %s would have a name of %d characters, and 63 are allowed: shorten run (%q) by %d" $longestName $longest (include "mura-jobs.run" .) (sub $longest 63)) -}}
{{- end -}}
{{- if and .Release.IsUpgrade (not .Values.allowUpgrade) -}}
{{- range $live := (lookup "batch/v1" "Job" .Release.Namespace "").items -}}
{{- $labels := $live.metadata.labels | default dict -}}
{{- $ours := and (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "mura-jobs/run") (include "mura-jobs.run" $)) (ne (get $labels "mura-jobs/stage") "driver") -}}
{{- $name := get $labels "jobset.sigs.k8s.io/jobset-name" | default $live.metadata.name -}}
{{- if and $ours (dig "status" "active" 0 $live) (not (hasKey $names $name)) -}}
{{- fail (printf "%s is running, and this upgrade would replace it. Wait for it, or --set allowUpgrade=true: it is stopped after a checkpoint, and what the new Job does from there depends on the change" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
