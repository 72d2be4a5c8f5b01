//! What the edges of this service share beside the chassis's own.

use tahuka_chassis::{Refusal, edge};

/// P-codes of districts, each once, sorted.
pub fn districts(field: &str, codes: &[String]) -> Result<Vec<String>, Refusal> {
    let mut districts = Vec::with_capacity(codes.len());
    for (i, code) in codes.iter().enumerate() {
        districts.push(edge::district(&format!("{field}[{i}]"), code)?);
    }
    districts.sort();
    districts.dedup();
    Ok(districts)
}

/// A stored word that this version does not know.
pub fn unknown(column: &'static str) -> Refusal {
    Refusal::internal(format!("unknown word in {column}"))
}
