//! What is shown at the end: the last bag as the ministry finds it, the certificates' totals, and that the programme's
//! figures are what they were.

use tahuka_chassis::Refusal;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::handover::v1::certificate_service_client::CertificateServiceClient;
use tahuka_proto::insight::v1 as insight;

use super::super::Stage;
use super::super::voice::ask;
use super::way;
use crate::demo::report;

/// Totals that tell a tranche in one line.
const SHORT: [&str; 4] = ["households", "individuals", "deliveries", "projects"];

pub fn in_short(tranche: &handover::Tranche) -> String {
    let total = |name: &str| -> i64 { tranche.totals.iter().filter(|t| t.name == name).map(|t| t.value).sum() };
    let told: Vec<_> =
        SHORT.iter().map(|name| (total(name), name)).filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    format!("closed: {}", told.join(", "))
}

pub async fn shown(stage: &Stage<'_>, closed: &[handover::Tranche], before: &insight::ProgrammeReport) -> Result<(), Refusal> {
    let Some(last) = closed.last() else { return Ok(()) };
    println!("\nThe handover\n");
    for tranche in closed {
        let request = handover::GetCertificateRequest { tranche_id: tranche.id.clone() };
        let certificate = ask!(stage.cast.ministry_manager, CertificateServiceClient.get_certificate(request))?;
        println!("  {}", tranche.name);
        println!("    certificate: manifest {}, PDF of {} bytes", tranche.manifest_sha256, certificate.pdf.len());
        if tranche.id != last.id {
            println!("    {}", in_short(tranche));
            continue;
        }
        for total in &tranche.totals {
            let by = if total.by.is_empty() { String::new() } else { format!(", {}", total.by) };
            println!("    {:<52} {:>16}", format!("{}{by}", total.name.replace('_', " ")), total.value);
        }
    }
    if let Some(parties) = &stage.handovers.parties {
        println!("\nThe last bag, as the ministry checks it with nothing but its files\n");
        let report = way::verified(stage, parties, last).await?;
        for line in report.text().lines() {
            println!("  {line}");
        }
        if !report.is_signed_by_both() {
            return Err(Refusal::precondition("BUNDLE_REFUSED", "the signed bag does not hold"));
        }
    }
    let after = report::settled(stage, &stage.cast.ministry_manager, before).await?;
    let same = report::figures(&after) == report::figures(before);
    println!(
        "\n  {} reads the programme's report: {} figures, {} as {} read them before.",
        stage.cast.ministry_manager.who,
        report::figures(&after).len(),
        if same { "the same" } else { "NOT the same" },
        stage.cast.manager.who
    );
    if same {
        return Ok(());
    }
    for (one, other) in report::figures(before).iter().zip(report::figures(&after)).filter(|(one, other)| *one != other) {
        println!("    {one:?} is now {other:?}");
    }
    Err(Refusal::precondition("FIGURES_CHANGED", "the programme's figures are not what they were before the handover"))
}
