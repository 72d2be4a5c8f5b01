//! One typed tree of configuration. Defaults run; a TOML file, then the environment
//! (`TAHUKA__DATABASE__URL`), then flags go over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded databases and the keys are.
    pub data_dir: PathBuf,
    /// The address of the services' own gRPC, for other processes of the house; none in one process.
    pub listen: Option<String>,
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
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The one door for tenants.
    pub listen: String,
    /// How long the gateway trusts what tenancy said of a caller, in seconds.
    pub identity_ttl_seconds: u64,
    /// An issuer's key set is fetched for an unknown key at most once in this time, in seconds.
    pub key_set_least_seconds: u64,
    /// And in any case when it is this old.
    pub key_set_most_seconds: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorsConfig {
    /// `/healthz`, `/readyz` and `/metrics`.
    pub listen: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://…`; `{service}` in it is replaced by the service's name. None: SQLite files in `data_dir`.
    pub url: Option<String>,
    /// For each service.
    pub max_connections: u32,
    /// Bring the schema up to date at start.
    pub migrate_on_start: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// `nats://…`. None: the in-process bus, which needs every service in this process.
    pub url: Option<String>,
    /// Begins the stream's name and its subjects, so that installations can share a server.
    pub prefix: String,
    /// Replicas of the stream.
    pub replicas: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PassportConfig {
    /// Seed of the signing key (64 hex digits). None: `<data_dir>/keys/passport.key`, made at first start.
    pub signing_key_file: Option<PathBuf>,
    /// Public keys (64 hex digits each) that services trust, beside those of `keys_dir`. Empty: the one of the signing key.
    pub trusted_keys: Vec<String>,
    /// Keys that come and go while everything runs; `tahuka keys` writes them. None: `<data_dir>/keys/passport.d`.
    pub keys_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformConfig {
    /// The platform operator's identity provider; without it, and outside demo mode, nobody can make a tenant.
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub jwks_file: Option<PathBuf>,
    /// The subject of the first platform operator.
    pub subject: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DemoConfig {
    /// The built-in issuer, for a demonstration only.
    pub enabled: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
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
            listen: None,
            gateway: GatewayConfig::default(),
            operators: OperatorsConfig::default(),
            database: DatabaseConfig::default(),
            nats: NatsConfig::default(),
            peers: BTreeMap::new(),
            passport: PassportConfig::default(),
            platform: PlatformConfig::default(),
            demo: DemoConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            listen: "127.0.0.1:50051".into(),
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
        DatabaseConfig { url: None, max_connections: 8, migrate_on_start: true }
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        NatsConfig { url: None, prefix: "tahuka".into(), replicas: 1 }
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

    pub fn passport_key_file(&self) -> PathBuf {
        self.passport.signing_key_file.clone().unwrap_or_else(|| self.data_dir.join("keys/passport.key"))
    }

    pub fn passport_keys_dir(&self) -> PathBuf {
        self.passport.keys_dir.clone().unwrap_or_else(|| self.data_dir.join("keys/passport.d"))
    }

    pub fn page_key_file(&self) -> PathBuf {
        self.data_dir.join("keys/page.key")
    }

    /// Of the key of pseudonyms: whoever loses it gives every tenant new ones.
    pub fn pseudonym_key_file(&self) -> PathBuf {
        self.data_dir.join("keys/pseudonym.key")
    }

    pub fn demo_key_file(&self) -> PathBuf {
        self.data_dir.join("keys/demo-issuer.key")
    }
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
