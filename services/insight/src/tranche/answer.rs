//! A tranche's figures as one caller may see them.

use sha2::{Digest as _, Sha256};
use tahuka_chassis::{Refusal, Tx};
use tahuka_proto::insight::v1::{GetTrancheFiguresResponse, TrancheFigure};
use uuid::Uuid;

use super::{Figures, lines, store};
use crate::view::View;

pub async fn answer(tx: &Tx, view: &View, tranche: Uuid) -> Result<GetTrancheFiguresResponse, Refusal> {
    let rows = store::list(tx, tranche).await?;
    if rows.iter().all(|row| row.programme_id != view.programme) {
        return Err(Refusal::not_found("tranche", tranche));
    }
    let figures = Figures::of(rows);
    let sums = figures.summed(|grant| view.grants.as_ref().is_none_or(|own| own.contains(grant)));
    let figure = |([indicator, district, kind, grant, currency], value): ([&str; 5], i64)| TrancheFigure {
        indicator: indicator.to_owned(),
        district: district.to_owned(),
        kind: kind.to_owned(),
        grant_id: grant.to_owned(),
        currency: currency.to_owned(),
        value,
    };
    // Who sees a part would have the digest of nothing that anybody else has.
    let whole = view.whole && view.grants.is_none();
    let sha256 = if whole { digest(&figures)? } else { String::new() };
    let records = if whole { i64::try_from(figures.len()).map_err(Refusal::internal)? } else { 0 };
    Ok(GetTrancheFiguresResponse { figures: sums.into_iter().map(figure).collect(), sha256, records })
}

fn digest(figures: &Figures) -> Result<String, Refusal> {
    let mut digest = Sha256::new();
    for line in lines(figures)? {
        digest.update(&line);
        digest.update(b"\n");
    }
    Ok(hex::encode(digest.finalize()))
}
