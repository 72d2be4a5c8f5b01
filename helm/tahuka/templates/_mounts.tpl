{{/* Secrets and configuration, as files. Answers are JSON lists under a key, for fromJson. */}}

{{/* Without a group of their own, files must be readable by whichever user the pod gets; there is only one in it. */}}
{{- define "tahuka.file.mode" -}}
{{- ternary 292 288 (kindIs "invalid" .Values.podSecurity.fsGroup) -}}
{{- end -}}

{{/* {root, name, at, sources}: adds to {volumes, mounts} in .to. */}}
{{- define "tahuka.mount" -}}
{{- $mode := include "tahuka.file.mode" .root | int -}}
{{- $_ := set .to "volumes" (append .to.volumes (dict "name" .name "projected" (dict "defaultMode" $mode "sources" .sources))) -}}
{{- $_ := set .to "mounts" (append .to.mounts (dict "name" .name "mountPath" .at "readOnly" true)) -}}
{{- end -}}

{{/* One key of a Secret as a file: {secret, key, path}. */}}
{{- define "tahuka.source" -}}
{{ dict "secret" (dict "name" .secret "items" (list (dict "key" .key "path" .path))) | toJson }}
{{- end -}}

{{/* A certificate authority: {ca}. */}}
{{- define "tahuka.ca.source" -}}
{{- $items := list (dict "key" .ca.key "path" "ca.crt") -}}
{{- if .ca.existingSecret -}}
{{ dict "secret" (dict "name" .ca.existingSecret "items" $items) | toJson }}
{{- else -}}
{{ dict "configMap" (dict "name" .ca.existingConfigMap "items" $items) | toJson }}
{{- end -}}
{{- end -}}

{{/*
What one process sees, and no more: {root, name, services, nats, keys, signs, tls, url?}. `url` is {secret, key, path}, a database
URL beside those of the services.
*/}}
{{- define "tahuka.mounts" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $name := .name | default "" -}}
{{- $to := dict "volumes" list "mounts" list -}}
{{- $full := include "tahuka.fullname" $root -}}
{{- $_ := set $to "volumes" (append $to.volumes (dict "name" "config" "configMap" (dict "name" (printf "%s-config" $full)))) -}}
{{- $_ := set $to "mounts" (append $to.mounts (dict "name" "config" "mountPath" "/etc/tahuka" "readOnly" true)) -}}
{{- $databases := list -}}
{{- range $service := .services -}}
{{- $secret := $v.database.existingSecret | replace "{service}" $service -}}
{{- $key := $v.database.key | replace "{service}" $service -}}
{{- $databases = append $databases (include "tahuka.source" (dict "secret" $secret "key" $key "path" $service) | fromJson) -}}
{{- end -}}
{{- with .url -}}
{{- $databases = append $databases (include "tahuka.source" . | fromJson) -}}
{{- end -}}
{{- if $databases -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "database" "at" "/run/secrets/tahuka/database" "sources" $databases) -}}
{{- if or $v.database.ca.existingSecret $v.database.ca.existingConfigMap -}}
{{- $source := include "tahuka.ca.source" (dict "ca" $v.database.ca) | fromJson -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "database-ca" "at" "/run/secrets/tahuka/database-ca" "sources" (list $source)) -}}
{{- end -}}
{{- end -}}
{{- $nats := list -}}
{{- if and .nats $v.nats.enabled -}}
{{- with $v.nats.existingSecret -}}
{{- $nats = append $nats (include "tahuka.source" (dict "secret" (replace "{service}" $name .) "key" (replace "{service}" $name $v.nats.key) "path" "url") | fromJson) -}}
{{- end -}}
{{- with $v.nats.credentials.existingSecret -}}
{{- $nats = append $nats (include "tahuka.source" (dict "secret" (replace "{service}" $name .) "key" (replace "{service}" $name $v.nats.credentials.key) "path" "nats.creds") | fromJson) -}}
{{- end -}}
{{- if or $v.nats.ca.existingSecret $v.nats.ca.existingConfigMap -}}
{{- $nats = append $nats (include "tahuka.ca.source" (dict "ca" $v.nats.ca) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- if $nats -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "nats" "at" "/run/secrets/tahuka/nats" "sources" $nats) -}}
{{- end -}}
{{- if .keys -}}
{{- $items := list -}}
{{- range $path, $key := $v.keys.files -}}
{{- $items = append $items (dict "key" $key "path" $path) -}}
{{- end -}}
{{- $sources := list (dict "secret" (dict "name" $v.keys.existingSecret "items" $items)) -}}
{{- if $v.demo.enabled -}}
{{- $sources = append $sources (include "tahuka.source" (dict "secret" $v.demo.existingSecret "key" $v.demo.key "path" "demo-issuer.key") | fromJson) -}}
{{- end -}}
{{- $items = list -}}
{{- if .signs -}}
{{- range $path, $key := $v.keys.gateway.files -}}
{{- $items = append $items (dict "key" $key "path" $path) -}}
{{- end -}}
{{- end -}}
{{- if $items -}}
{{- $sources = append $sources (dict "secret" (dict "name" $v.keys.gateway.existingSecret "items" $items)) -}}
{{- end -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "keys" "at" "/run/secrets/tahuka/keys" "sources" $sources) -}}
{{- end -}}
{{- if .signs -}}
{{- $source := include "tahuka.source" (dict "secret" $v.keys.gateway.existingSecret "key" $v.keys.gateway.key "path" "passport.key") | fromJson -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "gateway-keys" "at" "/run/secrets/tahuka/gateway" "sources" (list $source)) -}}
{{- end -}}
{{- $tls := include "tahuka.tls.secret" $root -}}
{{- if and .tls $tls -}}
{{- $items := list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key") -}}
{{- include "tahuka.mount" (dict "root" $root "to" $to "name" "tls" "at" "/run/secrets/tahuka/tls" "sources" (list (dict "secret" (dict "name" $tls "items" $items)))) -}}
{{- end -}}
{{ toJson $to }}
{{- end -}}
