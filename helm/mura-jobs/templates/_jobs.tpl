{{/*
Every Job of the run, as a list of mappings:
  stage        whose image, settings and configuration it takes
  key          its name within the run
  places       outputs it publishes, as the bucket and mura_jobs.stages name them
  needs        keys of the Jobs that come before it
  flags        what tells it from the stage's other Jobs
  completions  pods that must succeed, each with an index of its own where there are several
  nodes        pods that train together
*/}}
{{- define "mura-jobs.jobs" -}}
{{- $values := .Values -}}
{{- $repeats := include "mura-jobs.repeats" . | fromYaml -}}
{{- $indexed := (include "mura-jobs.abilities" . | fromYaml).indexed -}}
{{- $imported := (get $values "import-grid").enabled -}}
{{- $generators := list -}}
{{- $synthesizers := list -}}
{{- $classifiers := list -}}
{{- $jobs := list -}}
{{- if $values.preflight.enabled -}}
{{- $gpus := int (include "mura-jobs.settings" (dict "root" . "stage" "preflight") | fromYaml).gpus -}}
{{- $jobs = append $jobs (dict "stage" "preflight" "key" "preflight" "flags" (list (printf "--gpus=%d" $gpus))) -}}
{{- end -}}
{{- $jobs = append $jobs (dict "stage" "phantom" "key" "phantom" "places" (list "raw/phantom")) -}}
{{- $jobs = append $jobs (dict "stage" "preprocess" "key" "preprocess" "places" (list "preprocess") "needs" (list "phantom") "shards" $values.preprocess.shards) -}}
{{- range $label := ternary list (ternary (list "both") $repeats.labels $repeats.conditional) $imported -}}
{{- $key := printf "train-gan-%s" $label -}}
{{- $generators = append $generators $key -}}
{{- $jobs = append $jobs (dict "stage" "train-gan" "key" $key "places" (list (printf "train-gan/%s" $label)) "needs" (list "preprocess") "flags" (list (printf "--label=%s" $label)) "nodes" (index $values "train-gan").nodes) -}}
{{- end -}}
{{- range $label := $repeats.labels -}}
{{- $stage := ternary "import-grid" "synthesize" $imported -}}
{{- $key := printf "%s-%s" $stage $label -}}
{{- $synthesizers = append $synthesizers $key -}}
{{- if $imported -}}
{{- $jobs = append $jobs (dict "stage" $stage "key" $key "places" (list (printf "synthesize/%s" $label)) "needs" (list "preprocess") "flags" (list (printf "--label=%s" $label))) -}}
{{- else -}}
{{- $jobs = append $jobs (dict "stage" $stage "key" $key "places" (list (printf "synthesize/%s" $label)) "needs" (list "preprocess" (printf "train-gan-%s" (ternary "both" $label $repeats.conditional))) "flags" (concat (list (printf "--label=%s" $label)) (ternary (list "--conditional=true") list $repeats.conditional)) "shards" $values.synthesize.shards) -}}
{{- end -}}
{{- end -}}
{{- range $arm := $repeats.arms -}}
{{- $key := printf "train-cnn-%s" (include "mura-jobs.slug" $arm) -}}
{{- $needs := ternary (prepend $synthesizers "preprocess") (list "preprocess") (contains "synthetic" $arm) -}}
{{- $places := list -}}
{{- range $seed := until (int $repeats.seeds) -}}
{{- $place := printf "train-cnn/%s/seed-%d" $arm $seed -}}
{{- $places = append $places $place -}}
{{- if not $indexed -}}
{{- $classifiers = append $classifiers (printf "%s-seed-%d" $key $seed) -}}
{{- $jobs = append $jobs (dict "stage" "train-cnn" "key" (printf "%s-seed-%d" $key $seed) "places" (list $place) "needs" $needs "flags" (list (printf "--arm=%s" $arm) (printf "--seed=%d" $seed))) -}}
{{- end -}}
{{- end -}}
{{- if $indexed -}}
{{- /* one pod alone has no index */}}
{{- $seed := ternary "$(JOB_COMPLETION_INDEX)" "0" (gt (int $repeats.seeds) 1) -}}
{{- $classifiers = append $classifiers $key -}}
{{- $jobs = append $jobs (dict "stage" "train-cnn" "key" $key "places" $places "needs" $needs "flags" (list (printf "--arm=%s" $arm) (printf "--seed=%s" $seed)) "completions" $repeats.seeds) -}}
{{- end -}}
{{- end -}}
{{- $jobs = append $jobs (dict "stage" "report" "key" "report" "places" (list "report") "needs" (concat (list "preprocess") $generators $synthesizers $classifiers) "flags" (ternary (list "--imported=true") list $imported)) -}}
{{- $enabled := list -}}
{{- range $job := $jobs -}}
{{- if (get $values $job.stage).enabled -}}
{{- $enabled = append $enabled $job -}}
{{- end -}}
{{- end -}}
{{- $keys := list -}}
{{- range $enabled -}}{{- $keys = append $keys .key -}}{{- end -}}
{{- range $job := $enabled -}}
{{- $shards := int ($job.shards | default 1) -}}
{{- if gt $shards 1 -}}
{{- $_ := set $job "completions" $shards -}}
{{- $_ := set $job "flags" (concat ($job.flags | default list) (list "--index=$(JOB_COMPLETION_INDEX)" (printf "--count=%d" $shards))) -}}
{{- end -}}
{{- $needs := list -}}
{{- range $need := $job.needs -}}{{- if has $need $keys -}}{{- $needs = append $needs $need -}}{{- end -}}{{- end -}}
{{- if and (not $needs) (has "preflight" $keys) (ne $job.key "preflight") -}}{{- $needs = list "preflight" -}}{{- end -}}
{{- $_ := set $job "needs" $needs -}}
{{- end -}}
{{- toYaml $enabled -}}
{{- end -}}
