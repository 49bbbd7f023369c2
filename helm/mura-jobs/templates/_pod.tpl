{{/* How long a stage has after SIGTERM: its checkpoint, then torchrun, then the pod, each with room for the one before. */}}
{{- define "mura-jobs.torchrunSeconds" -}}{{- add .checkpointSeconds 10 -}}{{- end -}}
{{- define "mura-jobs.graceSeconds" -}}{{- add .checkpointSeconds 30 -}}{{- end -}}

{{/* What a container is started as: the stage, or the launcher that starts it several times. */}}
{{- define "mura-jobs.command" -}}
{{- $processes := include "mura-jobs.processes" .settings | int -}}
{{- $nodes := int (.job.nodes | default 1) -}}
{{- if or (gt $processes 1) (gt $nodes 1) }}
command: [tini, --, python, -m, mura_jobs.cluster.launch]
args:
  - --processes={{ $processes }}
  {{- if gt $nodes 1 }}
  - --nodes={{ $nodes }}
  - --node=$(JOB_COMPLETION_INDEX)
  - --main-host={{ ternary "$(GROUP)-node-0-0.$(GROUP)" (printf "$(GROUP)-0.%s" (include "mura-jobs.service" .)) .root.Values.jobSet.enabled }}
  {{- end }}
  - --stop-seconds={{ include "mura-jobs.torchrunSeconds" .settings }}
  - --
{{- else }}
command: [tini, --, mura-jobs]
args:
{{- end }}
  - {{ .job.stage }}
  - --config=/etc/mura-jobs/run.yaml
  - --bucket=$(BUCKET)
  - --endpoint=$(ENDPOINT)
  - --run-id=$(RUN_ID)
  - --log=json
  - --scratch=/scratch
  {{- range .job.flags }}
  - {{ . | quote }}
  {{- end }}
{{- end -}}

{{/* Name of the headless service through which the nodes of a training find each other. */}}
{{- define "mura-jobs.service" -}}
{{- printf "%s-%s" (include "mura-jobs.run" .root) .job.key -}}
{{- end -}}

{{- define "mura-jobs.env" -}}
{{- range $name, $key := dict "BUCKET" "bucket" "ENDPOINT" "endpoint" "RUN_ID" "run-id" }}
- name: {{ $name }}
  valueFrom:
    configMapKeyRef:
      name: {{ include "mura-jobs.configMap" (dict "root" $.root "stage" $.job.stage) }}
      key: {{ $key }}
{{- end }}
{{- with .root.Values.bucket.region }}
- name: AWS_REGION
  value: {{ . }}
{{- end }}
{{- if .root.Values.bucket.caConfigMap }}
- name: AWS_CA_BUNDLE
  value: /etc/mura-jobs-ca/ca.crt
{{- end }}
{{- if gt (int .job.nodes) 1 }}
- name: GROUP
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['{{ ternary "jobset.sigs.k8s.io/jobset-name" "job-name" .root.Values.jobSet.enabled }}']
{{- end }}
{{- if and (eq (include "mura-jobs.processes" .settings) "1") (dig "requests" "cpu" "" .settings.resources) }}
# torch counts the node's cores, whatever share of them the pod has
- name: OMP_NUM_THREADS
  valueFrom:
    resourceFieldRef:
      containerName: stage
      resource: requests.cpu
{{- end }}
{{- range $name, $value := .settings.nccl }}
- name: NCCL_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .settings.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mura-jobs.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if int .gpus -}}
{{- $_ := set $resources "limits" (mergeOverwrite (dict .gpuResource (int .gpus)) ($resources.limits | default dict)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* What the standard "restricted" asks of every pod and container. */}}
{{- define "mura-jobs.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mura-jobs.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "mura-jobs.podSpec" -}}
{{- $ := .root -}}
{{- $settings := .settings -}}
{{- $driver := eq .job.stage "driver" -}}
restartPolicy: Never
serviceAccountName: {{ include "mura-jobs.serviceAccount" $ }}{{ ternary "-driver" "" $driver }}
automountServiceAccountToken: {{ $driver }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "mura-jobs.graceSeconds" $settings }}
securityContext:
  {{- include "mura-jobs.podSecurity" . | nindent 2 }}
{{- if gt (int .job.nodes) 1 }}
{{- if not $.Values.jobSet.enabled }}
subdomain: {{ include "mura-jobs.service" . }}
{{- end }}
{{- end }}
{{- if $settings.hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- range $key := list "runtimeClassName" "priorityClassName" "schedulerName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with get $settings $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
containers:
  - name: stage
    image: {{ include "mura-jobs.image" (dict "root" $ "stage" .job.stage) }}
    imagePullPolicy: {{ $.Values.image.pullPolicy }}
    {{- include "mura-jobs.command" . | nindent 4 }}
    env:
      {{- include "mura-jobs.env" . | nindent 6 }}
    {{- with include "mura-jobs.bucketSecret" $ }}
    envFrom:
      - secretRef:
          name: {{ . }}
    {{- end }}
    {{- with include "mura-jobs.resources" $settings }}
    resources:
      {{- . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- include "mura-jobs.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/mura-jobs, readOnly: true}
      - {name: scratch, mountPath: /scratch}
      - {name: tmp, mountPath: /tmp}
      - {name: shm, mountPath: /dev/shm}
      {{- if $.Values.bucket.caConfigMap }}
      - {name: ca, mountPath: /etc/mura-jobs-ca, readOnly: true}
      {{- end }}
      {{- with $settings.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with $settings.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "mura-jobs.configMap" (dict "root" $ "stage" .job.stage) }}
      items:
        - {key: run.yaml, path: run.yaml}
  - name: scratch
    emptyDir:
      sizeLimit: {{ $settings.scratchSize }}
  - name: tmp
    emptyDir:
      sizeLimit: 2Gi
  - name: shm
    emptyDir:
      medium: Memory
      sizeLimit: {{ $settings.shmSize }}
  {{- with $.Values.bucket.caConfigMap }}
  - name: ca
    configMap:
      name: {{ . }}
  {{- end }}
  {{- with $settings.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
