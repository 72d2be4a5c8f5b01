//! One typed tree of configuration. Defaults run; a TOML file, then the environment
//! (`TAHUKA__DATABASE__URL`), then flags go over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded databases and the keys are.
    pub data_dir: PathBuf,
    /// The keys of passports, page tokens and pseudonyms. None: `<data_dir>/keys`. A missing key is made where the place can
    /// be written.
    pub keys_dir: Option<PathBuf>,
    /// The address of the services' own gRPC, for other processes of the house; none in one process.
    pub listen: Option<String>,
    pub server: ServerConfig,
    pub gateway: GatewayConfig,
    pub operators: OperatorsConfig,
    pub database: DatabaseConfig,
    pub nats: NatsConfig,
    /// Addresses of services that run elsewhere: `registry = "http://registry:50060"`.
    pub peers: BTreeMap<String, String>,
    pub passport: PassportConfig,
    pub platform: PlatformConfig,
    pub demo: DemoConfig,
    pub log: LogConfig,
    pub telemetry: TelemetryConfig,
    pub bundles: BundlesConfig,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// After the signal to stop: how long calls are still taken while every probe is told that this process is leaving, in
    /// seconds. Longer than whoever sends calls needs to hear of it.
    pub drain_seconds: u64,
    /// How long running calls may then take, in seconds.
    pub grace_seconds: u64,
    /// A connection is ended after this time, so that calls spread over new replicas, in seconds; 0: never.
    pub max_connection_age_seconds: u64,
    /// How long the calls of such a connection may still take, in seconds.
    pub max_connection_age_grace_seconds: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The one door for tenants.
    pub listen: String,
    pub tls: TlsConfig,
    /// How long the gateway trusts what tenancy said of a caller, in seconds.
    pub identity_ttl_seconds: u64,
    /// An issuer's key set is fetched for an unknown key at most once in this time, in seconds.
    pub key_set_least_seconds: u64,
    /// And in any case when it is this old.
    pub key_set_most_seconds: u64,
}

/// Files in PEM; both or none. They are read again when they change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and the chain above it.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the first certificate.
    pub key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorsConfig {
    /// `/livez`, `/readyz`, `/startupz`, `/metrics` and gRPC health, for probes and Prometheus. Not for tenants.
    pub listen: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://…`; `{service}` in it is replaced by the service's name. None: SQLite files in `data_dir`.
    pub url: Option<String>,
    /// A file with the URL in its place; `{service}` in the path, and in the URL, is replaced by the service's name.
    pub url_file: Option<PathBuf>,
    /// For each service.
    pub max_connections: u32,
    /// Bring the schema up to date at start. If not, `tahuka migrate` does, and a service waits for it.
    pub migrate_on_start: bool,
    /// The role that the service logs in with, if it is not the one that migrates; `{service}` in it is replaced. `tahuka
    /// migrate` gives it what the service needs and nothing that could change the schema.
    pub login_role: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// `nats://…`. None: the in-process bus, which needs every service in this process.
    pub url: Option<String>,
    /// A file with the URL in its place.
    pub url_file: Option<PathBuf>,
    /// A file with the credentials (JWT and seed) of a NATS user.
    pub credentials_file: Option<PathBuf>,
    /// Certificates (PEM) that NATS servers are trusted by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Begins the stream's name and its subjects, so that installations can share a server.
    pub prefix: String,
    /// Replicas of the stream.
    pub replicas: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PassportConfig {
    /// Seed of the signing key (64 hex digits). None: `<keys_dir>/passport.key`, made at first start.
    pub signing_key_file: Option<PathBuf>,
    /// Public keys (64 hex digits each) that services trust, beside those of `keys_dir`. Empty: the one of the signing key.
    pub trusted_keys: Vec<String>,
    /// Keys that come and go while everything runs; `tahuka keys` writes them. None: `<keys_dir>/passport.d`.
    pub keys_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformConfig {
    /// The platform operator's identity provider; without it, and outside demo mode, nobody can make a tenant.
    pub issuer: Option<String>,
    /// The `aud` that its tokens must carry.
    pub audience: Option<String>,
    /// Its public keys, a JSON Web Key Set.
    pub jwks_file: Option<PathBuf>,
    /// Where they are fetched (https), in the place of a file.
    pub jwks_url: Option<String>,
    /// The signature algorithms that its tokens may carry: EdDSA, ES256, RS256. Empty: all that its keys can verify.
    pub algorithms: Vec<String>,
    /// The subject of the first platform operator.
    pub subject: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DemoConfig {
    /// The built-in issuer, for a demonstration only.
    pub enabled: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BundlesConfig {
    /// Where bundles of handovers are kept, in reach of every service: `file:///…` or `s3://bucket/prefix` (keys, region and
    /// endpoint come from `AWS_ACCESS_KEY_ID` and the like). None: the folder `bundles` in `data_dir`.
    pub url: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `tahuka=debug,info`.
    pub level: String,
    /// `json` or `text`.
    pub format: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: "./data".into(),
            keys_dir: None,
            listen: None,
            server: ServerConfig::default(),
            gateway: GatewayConfig::default(),
            operators: OperatorsConfig::default(),
            database: DatabaseConfig::default(),
            nats: NatsConfig::default(),
            peers: BTreeMap::new(),
            passport: PassportConfig::default(),
            platform: PlatformConfig::default(),
            demo: DemoConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            bundles: BundlesConfig::default(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig { drain_seconds: 0, grace_seconds: 20, max_connection_age_seconds: 0, max_connection_age_grace_seconds: 30 }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            listen: "127.0.0.1:50051".into(),
            tls: TlsConfig::default(),
            identity_ttl_seconds: 3,
            key_set_least_seconds: 10,
            key_set_most_seconds: 300,
        }
    }
}

impl Default for OperatorsConfig {
    fn default() -> Self {
        OperatorsConfig { listen: "127.0.0.1:9090".into() }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        DatabaseConfig { url: None, url_file: None, max_connections: 8, migrate_on_start: true, login_role: None }
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        NatsConfig { url: None, url_file: None, credentials_file: None, ca_file: None, prefix: "tahuka".into(), replicas: 1 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: "info".into(), format: "json".into() }
    }
}

impl Config {
    /// `file` must exist when it is given. `flags` are dotted keys with their values.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self, Refusal> {
        let refused = |e: config::ConfigError| Refusal::invalid("configuration", e.to_string());
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let environment = config::Environment::with_prefix("TAHUKA").prefix_separator("__").separator("__").try_parsing(true);
        builder = builder.add_source(environment);
        for (key, value) in flags {
            builder = builder.set_override(*key, value.clone()).map_err(refused)?;
        }
        builder.build().and_then(config::Config::try_deserialize).map_err(refused)
    }

    /// What is in force, as TOML, with secrets masked.
    pub fn masked(&self) -> Result<String, Refusal> {
        let mut shown = self.clone();
        for url in [&mut shown.database.url, &mut shown.nats.url].into_iter().flatten() {
            *url = mask(url);
        }
        toml::to_string_pretty(&shown).map_err(Refusal::internal)
    }

    pub fn keys_dir(&self) -> PathBuf {
        self.keys_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
    }

    pub fn passport_key_file(&self) -> PathBuf {
        self.passport.signing_key_file.clone().unwrap_or_else(|| self.keys_dir().join("passport.key"))
    }

    pub fn passport_keys_dir(&self) -> PathBuf {
        self.passport.keys_dir.clone().unwrap_or_else(|| self.keys_dir().join("passport.d"))
    }

    pub fn page_key_file(&self) -> PathBuf {
        self.keys_dir().join("page.key")
    }

    /// Of the key of pseudonyms: whoever loses it gives every tenant new ones.
    pub fn pseudonym_key_file(&self) -> PathBuf {
        self.keys_dir().join("pseudonym.key")
    }

    pub fn demo_key_file(&self) -> PathBuf {
        self.keys_dir().join("demo-issuer.key")
    }
}

impl DatabaseConfig {
    /// The URL of the service's database on PostgreSQL; none: the embedded one.
    pub fn url_of(&self, service: &str) -> Result<Option<String>, Refusal> {
        let url = secret("database", self.url.as_deref(), self.url_file.as_deref().map(|f| named(f, service)).as_deref())?;
        Ok(url.map(|url| url.replace("{service}", service)))
    }

    /// Whether the databases are the embedded ones.
    pub fn is_embedded(&self) -> bool {
        self.url.is_none() && self.url_file.is_none()
    }

    pub fn login_role_of(&self, service: &str) -> Option<String> {
        self.login_role.as_ref().map(|role| role.replace("{service}", service))
    }
}

impl NatsConfig {
    /// None: the in-process bus.
    pub fn server(&self) -> Result<Option<String>, Refusal> {
        secret("nats", self.url.as_deref(), self.url_file.as_deref())
    }
}

fn named(file: &Path, service: &str) -> PathBuf {
    PathBuf::from(file.to_string_lossy().replace("{service}", service))
}

/// What `<section>.url` says, or the file that stands for it.
fn secret(section: &str, told: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Refusal> {
    let Some(file) = file else { return Ok(told.map(str::to_owned)) };
    if told.is_some() {
        return Err(Refusal::invalid(format!("{section}.url"), "must not be given beside url_file"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|e| Refusal::invalid(format!("{section}.url_file"), format!("{}: {e}", file.display())))?;
    Ok(Some(text.trim().to_owned()))
}

/// The URL with its password and query masked.
fn mask(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return "***".into() };
    if parsed.password().is_some() {
        let _ = parsed.set_password(Some("***"));
    }
    if parsed.query().is_some() {
        parsed.set_query(Some("***"));
    }
    parsed.to_string()
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where traces go, by OTLP over gRPC: `http://otel-collector:4317`. None: no trace leaves the process.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that are kept, from 0 to 1. Whoever calls with a trace of its own has decided already.
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        TelemetryConfig { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}
