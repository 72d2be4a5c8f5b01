//! What funding holds of grants, and of households and projects that money is kept for, for when they pass to another
//! custodian. Money follows its grant; what is reserved follows whom it is for.

use tahuka_chassis::custody::{Owned, Rows, Slice, SliceTable, UnitKind};

const OF_GRANT: &[Rows] = &[Rows::Of { kind: UnitKind::Grant, column: "grant_id" }];

pub static SLICE: Slice = Slice {
    owns: Some(Owned { kind: UnitKind::Grant, table: "donor_grant", numbered: true }),
    after: &["registry", "projects"],
    tables: &[
        SliceTable {
            table: "donor",
            key: &["id"],
            rows: &[Rows::Referenced { by: &[("donor_grant", "donor_id"), ("pledge", "donor_id")] }],
        },
        // Of a grant that stays, what its reservations refer to is told of.
        SliceTable {
            table: "donor_grant",
            key: &["id"],
            rows: &[Rows::Of { kind: UnitKind::Grant, column: "id" }, Rows::Referenced { by: &[("reservation", "grant_id")] }],
        },
        SliceTable {
            table: "budget_line",
            key: &["id"],
            rows: &[
                Rows::Of { kind: UnitKind::Grant, column: "grant_id" },
                Rows::Referenced { by: &[("reservation", "line_id")] },
            ],
        },
        SliceTable {
            table: "exchange_rate",
            key: &["id"],
            rows: &[Rows::Referenced { by: &[("instalment", "exchange_rate_id")] }],
        },
        SliceTable { table: "instalment", key: &["id"], rows: OF_GRANT },
        SliceTable {
            table: "reservation",
            key: &["id"],
            rows: &[Rows::OfEither {
                kinds: &[UnitKind::Household, UnitKind::Project],
                kind_column: "unit_kind",
                column: "unit_id",
            }],
        },
        SliceTable { table: "posting", key: &["id"], rows: OF_GRANT },
        SliceTable { table: "entry", key: &["id"], rows: OF_GRANT },
        SliceTable { table: "balance", key: &["grant_id", "bucket", "line_id", "currency"], rows: OF_GRANT },
        SliceTable { table: "pledge", key: &["id"], rows: OF_GRANT },
    ],
    ..Slice::NONE
};
