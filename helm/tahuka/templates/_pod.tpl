{{/* The pods. Every one of them is made here, so that the restricted profile holds for all. */}}

{{- define "tahuka.pod.security" -}}
runAsNonRoot: true
{{- range $field := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- $value := index $.Values.podSecurity $field }}
{{- if not (kindIs "invalid" $value) }}
{{ $field }}: {{ $value | int64 }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tahuka.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* A map of environment as a list: a map cannot name one twice. {env: […]} */}}
{{- define "tahuka.env.list" -}}
{{- $list := list -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $list = append $list (merge (dict "name" $name) $value) -}}
{{- else -}}
{{- $list = append $list (dict "name" $name "value" (toString $value)) -}}
{{- end -}}
{{- end -}}
{{ dict "env" $list | toJson }}
{{- end -}}

{{/* What every pod spec begins with: {root, account}. */}}
{{- define "tahuka.pod.head" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "tahuka.pod.security" .root | nindent 2 }}
{{- end -}}

{{/* And every container of ours: {root}. */}}
{{- define "tahuka.container.head" -}}
image: {{ include "tahuka.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "tahuka.container.security" .root | nindent 2 }}
{{- end -}}

{{/* A command that runs once: {root, part, account, args, env, mounts, resources, restartPolicy}; values are of its pod. */}}
{{- define "tahuka.pod.once" -}}
metadata:
  labels:
    {{- include "tahuka.labels" . | nindent 4 }}
  {{- with .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "tahuka.pod.head" . | nindent 2 }}
  restartPolicy: Never
  {{- with .root.Values.defaults }}
  {{- with .nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- end }}
  containers:
    - name: {{ .part }}
      {{- include "tahuka.container.head" . | nindent 6 }}
      args:
        {{- toYaml .args | nindent 8 }}
      env:
        {{- toYaml (include "tahuka.env.list" .env | fromJson).env | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        {{- toYaml .mounts.mounts | nindent 8 }}
  volumes:
    {{- toYaml .mounts.volumes | nindent 4 }}
{{- end -}}

{{- define "tahuka.probe" -}}
grpc:
  port: 9090
  service: {{ .service }}
{{ toYaml .times }}
{{- end -}}

{{/* The pod template of a target: {root, name, target}. */}}
{{- define "tahuka.pod.target" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $target := .target -}}
{{- $v := .target.values -}}
{{- $server := .root.Values.server -}}
{{- $mounts := include "tahuka.mounts" (dict "root" $root "name" $name "services" $target.services "nats" (not (empty $target.services)) "keys" true "signs" $target.gateway "tls" $target.gateway) | fromJson -}}
{{- $env := mustMergeOverwrite (dict "TAHUKA_CONFIG" "/etc/tahuka/tahuka.toml") (deepCopy $v.extraEnv) -}}
metadata:
  labels:
    {{- include "tahuka.labels" (dict "root" $root "part" $name) | nindent 4 }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "tahuka.config.checksum" $root }}
    {{- with merge (dict) $v.podAnnotations $root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "tahuka.pod.head" (dict "root" $root "account" (printf "%s-%s" (include "tahuka.fullname" $root) $name)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ add $server.preStopSleepSeconds $server.drainSeconds $server.graceSeconds 5 }}
  {{- range $field := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $v $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- range $field := list "priorityClassName" "runtimeClassName" }}
  {{- with get $v $field }}
  {{ $field }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- if or $v.spread.zones $v.spread.nodes }}
  topologySpreadConstraints:
    {{- range $key, $when := dict "topology.kubernetes.io/zone" $v.spread.zones "kubernetes.io/hostname" $v.spread.nodes }}
    {{- if $when }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: {{ $when }}
      labelSelector:
        matchLabels:
          {{- include "tahuka.selector" (dict "root" $root "part" $name) | nindent 10 }}
      # Else pods of the version that goes count against those of the one that comes.
      matchLabelKeys: [pod-template-hash]
    {{- end }}
    {{- end }}
  {{- end }}
  containers:
    - name: tahuka
      {{- include "tahuka.container.head" (dict "root" $root) | nindent 6 }}
      args: [serve, --target, {{ $name }}]
      env:
        {{- toYaml (include "tahuka.env.list" $env | fromJson).env | nindent 8 }}
      ports:
        {{- if $target.gateway }}
        - {name: grpc, containerPort: 50051, protocol: TCP}
        {{- end }}
        {{- if $target.house }}
        - {name: grpc, containerPort: 50060, protocol: TCP}
        {{- end }}
        - {name: operators, containerPort: 9090, protocol: TCP}
      startupProbe:
        {{- include "tahuka.probe" (dict "service" "startup" "times" $v.probes.startup) | nindent 8 }}
      readinessProbe:
        {{- include "tahuka.probe" (dict "service" "readiness" "times" $v.probes.readiness) | nindent 8 }}
      livenessProbe:
        {{- include "tahuka.probe" (dict "service" "liveness" "times" $v.probes.liveness) | nindent 8 }}
      {{- if $server.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $server.preStopSleepSeconds }}
      {{- end }}
      resources:
        {{- toYaml $v.resources | nindent 8 }}
      volumeMounts:
        {{- toYaml (concat $mounts.mounts $v.extraVolumeMounts) | nindent 8 }}
    {{- with $v.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- toYaml (concat $mounts.volumes $v.extraVolumes) | nindent 4 }}
{{- end -}}
