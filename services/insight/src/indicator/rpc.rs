//! The edge of indicators.

use tahuka_chassis::{Caller, Refusal, Store, edge};
use tahuka_proto::insight::v1::indicator_service_server::IndicatorService;
use tahuka_proto::insight::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::table::{Figure, Question, Table, Tables};
use super::{CATALOGUE, Dimension, Indicator, Unit, get, month};
use crate::disclosure::SUPPRESSED;
use crate::view::View;

pub struct Indicators {
    pub store: Store,
}

#[tonic::async_trait]
impl IndicatorService for Indicators {
    async fn list_indicators(&self, _: Request<ListIndicatorsRequest>) -> Result<Response<ListIndicatorsResponse>, Status> {
        Ok(Response::new(ListIndicatorsResponse { indicators: CATALOGUE.iter().map(shown).collect() }))
    }

    async fn query_indicator(&self, request: Request<QueryIndicatorRequest>) -> Result<Response<QueryIndicatorResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let question = question(&request)?;

        let tx = self.store.read(&caller).await?;
        let view = View::of(&tx, programme).await?;
        let answer = Tables { tx: &tx, view: &view }.answer(&question).await?;
        let unit = question.indicator.unit;
        let mut totals = cells(unit, answer.totals);
        match unit {
            Unit::Money => {}
            // A share of nothing has no value.
            Unit::Percent if totals.is_empty() => totals.push(IndicatorCell::default()),
            _ if totals.is_empty() => totals.push(IndicatorCell { value: Some(0), ..Default::default() }),
            _ => {}
        }
        let mut cells = cells(unit, answer.cells);
        cells.retain(|cell| cell.suppressed || unit == Unit::Percent || cell.value != Some(0));
        let held_back = cells.iter().chain(&totals).filter(|cell| cell.suppressed).count();
        metrics::counter!(SUPPRESSED).increment(held_back as u64);
        Ok(Response::new(
            caller.disclose_at(view.level, QueryIndicatorResponse { indicator: Some(shown(question.indicator)), cells, totals }),
        ))
    }
}

fn question(request: &QueryIndicatorRequest) -> Result<Question, Refusal> {
    let indicator =
        get(&request.indicator).ok_or_else(|| Refusal::invalid("indicator", "must be a code that ListIndicators tells"))?;
    if request.group_by.len() > 3 {
        return Err(Refusal::invalid("group_by", "must be at most 3"));
    }
    let mut group_by = Vec::new();
    for (n, number) in request.group_by.iter().enumerate() {
        let field = || format!("group_by[{n}]");
        let dimension = Dimension::numbered(*number).filter(|d| indicator.dimensions.contains(d));
        let dimension = dimension.ok_or_else(|| Refusal::invalid(field(), "must be a dimension that the indicator carries"))?;
        if group_by.contains(&dimension) {
            return Err(Refusal::invalid(field(), "must be told once"));
        }
        group_by.push(dimension);
    }
    let (from_month, to_month) = (month("from_month", &request.from_month)?, month("to_month", &request.to_month)?);
    if let (Some(from), Some(to)) = (&from_month, &to_month)
        && from > to
    {
        return Err(Refusal::invalid("to_month", "must not be before from_month"));
    }
    let district = edge::optional_district("district", &request.district)?;
    if district.is_some() && !indicator.dimensions.contains(&Dimension::District) {
        return Err(Refusal::invalid("district", "must be empty: the indicator is not told by district"));
    }
    Ok(Question { indicator, group_by, from_month, to_month, district })
}

fn shown(indicator: &Indicator) -> proto::Indicator {
    proto::Indicator {
        code: indicator.code.to_owned(),
        name: indicator.name.to_owned(),
        unit: indicator.unit.number(),
        definition: indicator.definition.to_owned(),
        dimensions: indicator.dimensions.iter().map(|d| d.number()).collect(),
        counts_people: indicator.counts_people,
    }
}

fn cells(unit: Unit, table: Table) -> Vec<IndicatorCell> {
    let cell = |((keys, currency), figure): ((Vec<String>, String), Figure)| IndicatorCell {
        keys,
        value: figure.shown(),
        suppressed: figure.withheld,
        amount: figure.shown().filter(|_| unit == Unit::Money).and_then(|value| edge::stored_money(value, &currency)),
    };
    table.into_iter().map(cell).collect()
}
