{{/* Who may speak to whom. Rules are lists of NetworkPolicy's own form. */}}

{{/* Pods of one part of this release: {root, part}. */}}
{{- define "tahuka.network.part" -}}
podSelector:
  matchLabels:
    {{- include "tahuka.selector" . | nindent 4 }}
{{- end -}}

{{/* Out, to a port of somebody: {to, port}; no `to` is any address. */}}
{{- define "tahuka.network.out" -}}
- ports:
    - {port: {{ .port }}, protocol: TCP}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "tahuka.network.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* A policy of pods that nobody calls: {root, part, out: list of {to, port}, parts: list of {part, port}}. */}}
{{- define "tahuka.network.caller" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "tahuka.metadata" (dict "root" .root "part" .part "name" (printf "%s-%s" (include "tahuka.fullname" .root) .part)) }}
spec:
  {{- include "tahuka.network.part" . | nindent 2 }}
  policyTypes: [Ingress, Egress]
  egress:
    {{- include "tahuka.network.dns" .root | nindent 4 }}
    {{- range .out }}
    {{- include "tahuka.network.out" . | nindent 4 }}
    {{- end }}
    {{- $root := .root }}
    {{- range .parts }}
    - ports:
        - {port: {{ .port }}, protocol: TCP}
      to:
        - {{- include "tahuka.network.part" (dict "root" $root "part" .part) | nindent 10 }}
    {{- end }}
{{- end -}}
