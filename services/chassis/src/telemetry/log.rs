//! The log: one JSON object in a line, to standard error. Each line of work for a call or an event tells the trace, the
//! call's id, the service and the tenant.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use chrono::SecondsFormat;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::call::Call;
use crate::clock;
use crate::config::LogConfig;
use crate::refusal::Refusal;

static PROCESS: OnceLock<String> = OnceLock::new();

/// A second call changes nothing.
pub(super) fn start(config: &LogConfig, process: &str) -> Result<(), Refusal> {
    let _ = PROCESS.set(process.to_owned());
    let filter = EnvFilter::try_new(&config.level).map_err(|e| Refusal::invalid("log.level", e.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match config.format.as_str() {
        "json" => builder.event_format(Json).try_init(),
        "text" => builder.try_init(),
        _ => return Err(Refusal::invalid("log.format", "must be json or text")),
    };
    Ok(())
}

struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let metadata = event.metadata();
        let mut line = Line::default();
        line.add("ts", clock::now().to_rfc3339_opts(SecondsFormat::Micros, true));
        line.add("level", metadata.level().as_str());
        line.add("target", metadata.target());
        line.add("event", told.event);
        for (name, value) in whence(metadata.target()) {
            if !told.fields.iter().any(|(field, _)| *field == name) {
                line.add(name, value);
            }
        }
        for (name, value) in told.fields {
            line.add(name, value);
        }
        writeln!(out, "{}}}", line.0)
    }
}

/// Which work the line comes from.
fn whence(target: &str) -> Vec<(&'static str, String)> {
    let process = || PROCESS.get().cloned().unwrap_or_default();
    // The crate that keeps the context also logs, while it has it in hand: it must not be asked then.
    if target.starts_with("opentelemetry") {
        return vec![("service", process())];
    }
    Context::map_current(|context| {
        let mut told = Vec::with_capacity(5);
        let (span, call) = (context.span(), context.get::<Call>());
        let span = span.span_context();
        if span.is_valid() {
            told.push(("trace_id", span.trace_id().to_string()));
            told.push(("span_id", span.span_id().to_string()));
        }
        told.push(("service", call.map_or_else(process, |call| call.target.to_owned())));
        if let Some(call) = call {
            told.push(("request_id", call.id.to_string()));
        }
        if let Some(tenant) = call.and_then(Call::tenant) {
            told.push(("tenant", tenant.to_string()));
        }
        told
    })
}

/// A JSON object, its last brace left off.
#[derive(Default)]
struct Line(String);

impl Line {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        let _ = write!(self.0, "{}:{}", Value::from(name), value.into());
    }
}

#[derive(Default)]
struct Told {
    event: String,
    fields: Vec<(&'static str, Value)>,
}

impl Told {
    fn keep(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.event = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::ids;
    use crate::telemetry::trace::parsed;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Kept;

        fn make_writer(&'a self) -> Kept {
            self.clone()
        }
    }

    fn line(say: impl FnOnce()) -> Value {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).event_format(Json).finish();
        tracing::subscriber::with_default(subscriber, say);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_tells_its_call_and_its_trace() {
        let call = Call::new("registry", None);
        let id = call.id.to_string();
        let trace = parsed("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        let _entered = Context::new().with_value(call).with_remote_span_context(trace).attach();
        let tenant = ids::new_id();
        crate::telemetry::call::known_tenant(tenant);
        let line = line(|| tracing::warn!(rows = 3, why = "a \"quoted\"\nreason", "rows were left out"));
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (text("level"), text("event"), text("service")),
            ("WARN".into(), "rows were left out".into(), "registry".into())
        );
        assert_eq!((text("trace_id"), text("span_id")), ("0af7651916cd43dd8448eb211c80319c".into(), "b7ad6b7169203331".into()));
        assert_eq!((text("request_id"), text("tenant")), (id, tenant.to_string()));
        assert_eq!((line["rows"].as_i64(), text("why")), (Some(3), "a \"quoted\"\nreason".into()));
        assert!(text("ts").ends_with('Z') && text("target").contains("telemetry"));
    }

    #[test]
    fn what_the_line_says_itself_is_not_said_twice() {
        let line = line(|| tracing::info!(service = "funding", "started"));
        assert_eq!(line["service"], "funding");
        assert!(line.get("trace_id").is_none() && line.get("tenant").is_none());
    }
}
