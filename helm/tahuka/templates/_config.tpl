{{/* tahuka.toml, the same for every target. */}}

{{- define "tahuka.config.table" -}}
{{- $root := . -}}
{{- $v := .Values -}}
{{- $secrets := "/run/secrets/tahuka" -}}
{{- $config := dict
  "keys_dir" (printf "%s/keys" $secrets)
  "server" (dict
    "drain_seconds" $v.server.drainSeconds
    "grace_seconds" $v.server.graceSeconds
    "max_connection_age_seconds" $v.server.maxConnectionAgeSeconds
    "max_connection_age_grace_seconds" $v.server.maxConnectionAgeGraceSeconds)
  "gateway" (dict "listen" (printf "%s:50051" $v.listenAddress))
  "operators" (dict "listen" (printf "%s:9090" $v.listenAddress))
  "database" (dict
    "url_file" (printf "%s/database/{service}" $secrets)
    "max_connections" $v.database.maxConnections
    "migrate_on_start" false)
  "passport" (dict
    "keys_dir" (printf "%s/keys/passport.d" $secrets)
    "signing_key_file" (printf "%s/gateway/passport.key" $secrets))
  "log" (dict "level" $v.log.level "format" $v.log.format)
-}}
{{- if $v.database.loginRole -}}
{{- $_ := set $config.database "login_role" $v.database.loginRole -}}
{{- end -}}
{{- if $v.nats.enabled -}}
{{- $nats := dict "prefix" $v.nats.prefix "replicas" $v.nats.replicas -}}
{{- if $v.nats.existingSecret -}}
{{- $_ := set $nats "url_file" (printf "%s/nats/url" $secrets) -}}
{{- else -}}
{{- $_ := set $nats "url" $v.nats.url -}}
{{- end -}}
{{- if $v.nats.credentials.existingSecret -}}
{{- $_ := set $nats "credentials_file" (printf "%s/nats/nats.creds" $secrets) -}}
{{- end -}}
{{- if or $v.nats.ca.existingSecret $v.nats.ca.existingConfigMap -}}
{{- $_ := set $nats "ca_file" (printf "%s/nats/ca.crt" $secrets) -}}
{{- end -}}
{{- $_ := set $config "nats" $nats -}}
{{- end -}}
{{- if eq $v.mode "microservices" -}}
{{- $_ := set $config "listen" (printf "%s:50060" $v.listenAddress) -}}
{{- $peers := dict -}}
{{- range $service := (include "tahuka.services" . | fromJson).services -}}
{{- $_ := set $peers $service (printf "http://%s-%s:50060" (include "tahuka.fullname" $root) $service) -}}
{{- end -}}
{{- $_ := set $config "peers" $peers -}}
{{- end -}}
{{- if include "tahuka.tls.secret" . -}}
{{- $_ := set $config.gateway "tls" (dict "certificate_file" (printf "%s/tls/tls.crt" $secrets) "key_file" (printf "%s/tls/tls.key" $secrets)) -}}
{{- end -}}
{{- if $v.platform.issuer -}}
{{- $platform := dict "issuer" $v.platform.issuer "audience" $v.platform.audience "subject" $v.platform.subject -}}
{{- if $v.platform.jwks -}}
{{- $_ := set $platform "jwks_file" "/etc/tahuka/platform-jwks.json" -}}
{{- else -}}
{{- $_ := set $platform "jwks_url" $v.platform.jwksUrl -}}
{{- end -}}
{{- if $v.platform.algorithms -}}
{{- $_ := set $platform "algorithms" $v.platform.algorithms -}}
{{- end -}}
{{- $_ := set $config "platform" $platform -}}
{{- end -}}
{{- if $v.telemetry.otlpEndpoint -}}
{{- $_ := set $config "telemetry" (dict "otlp_endpoint" $v.telemetry.otlpEndpoint "sample_ratio" $v.telemetry.sampleRatio) -}}
{{- end -}}
{{- if $v.demo.enabled -}}
{{- $_ := set $config "demo" (dict "enabled" true) -}}
{{- end -}}
{{- mustMergeOverwrite $config (deepCopy $v.config) | toJson -}}
{{- end -}}

{{/* A value as TOML. Helm's own toToml writes whole numbers of values.yaml as floats, which are not what the keys take. */}}
{{- define "tahuka.toml.value" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end -}}
{{- else if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "tahuka.toml.value" $item }}{{ end }}]
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* A table: {at, table}. Its values first, then the tables in it. */}}
{{- define "tahuka.toml.table" -}}
{{- $at := .at -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "tahuka.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $name := ternary $key (printf "%s.%s" $at $key) (eq $at "") }}

[{{ $name }}]
{{- include "tahuka.toml.table" (dict "at" $name "table" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tahuka.toml" -}}
{{- include "tahuka.toml.table" (dict "at" "" "table" (include "tahuka.config.table" . | fromJson)) | trim -}}
{{- end -}}

{{/* Pods are replaced when this changes. */}}
{{- define "tahuka.config.checksum" -}}
{{- printf "%s%s" (include "tahuka.toml" .) .Values.platform.jwks | sha256sum -}}
{{- end -}}

{{/* The Secret with the gateway's certificate; nothing: plain HTTP/2. */}}
{{- define "tahuka.tls.secret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "tahuka.fullname" . }}-gateway-tls
{{- else -}}
{{ .Values.tls.existingSecret }}
{{- end -}}
{{- end -}}
