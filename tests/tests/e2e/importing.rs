//! A file from the field: good rows land, bad ones are told, and nothing lands twice.

use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_client::ImportServiceClient;
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;
use tahuka_tests::{Platform, new_request_id};

use crate::programme::Programme;

pub const HEADER: &str = "submission_id,submitted_on,household_number,category,district_pcode,cell_pcode,household_size,relation_to_head,surname,given_name,sex,birth_date,document_kind,document_number,phone,country_of_asylum,fled_year,returned_on,entry_point,transit_centre,vulnerability,consent,assistance_requested,assistance_item,enumerator";

fn file() -> String {
    let good = |id: &str, surname: &str| {
        format!(
            "{id},2011-05-03,RW33-1,returnee,RW33,RW330101,4,head,{surname},Jean,male,1979,,,,COD,1994,2011-04-20,Petite Barrière,,,yes,livestock,goats,E-01"
        )
    };
    [
        HEADER.to_owned(),
        good("s-1", "HABIMANA"),
        good("s-2", "UWIMANA").replace(",head,", ",spouse,"),
        good("s-1", "HABIMANA"),
        good("s-3", ""),
        good("s-4", "MUKAMANA").replace(",1979,", ",1979-02-31,"),
        good("s-5", "MUKAMANA").replace("RW330101", "RW430101"),
        good("s-6", "MUKAMANA").replace(",yes,", ",no,"),
    ]
    .join("\n")
}

async fn send(platform: &Platform, programme: &Programme, request_id: String) -> registry::Import {
    let start = registry::ImportStart { request_id, programme_id: programme.id.clone(), file_name: "registrations.csv".into() };
    let mut parts = vec![Part::Start(start)];
    // Chunks that split rows and even characters.
    parts.extend(file().as_bytes().chunks(37).map(|c| Part::Chunk(c.to_vec())));
    let stream = tokio_stream::iter(parts.into_iter().map(|part| registry::ImportHouseholdsRequest { part: Some(part) }));
    let _ = platform;
    let answer = ImportServiceClient::new(programme.iom.line()).import_households(stream).await.expect("the import ends");
    answer.into_inner().import.expect("and is told")
}

pub async fn good_rows_land_and_bad_ones_are_told(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let first = send(&platform, &programme, new_request_id()).await;
    assert_eq!((first.rows, first.accepted, first.repeated, first.rejected), (7, 2, 1, 4), "{:?}", first.errors);
    let told: Vec<_> = first.errors.iter().map(|e| (e.row, e.column.as_str())).collect();
    assert_eq!(told.len(), 4);
    assert!(first.errors.iter().all(|e| !e.reason.is_empty() && !e.reason.contains("MUKAMANA")));
    assert_eq!(told[0].1, "surname");
    assert_eq!(told[1].1, "birth_date");

    let again = send(&platform, &programme, new_request_id()).await;
    assert_eq!((again.accepted, again.repeated, again.rejected), (0, 3, 4));

    let request = registry::ListIndividualsRequest { programme_id: programme.id.clone(), ..Default::default() };
    let people = IndividualServiceClient::new(programme.iom.line()).list_individuals(request).await.expect("IOM lists people");
    assert_eq!(people.into_inner().individuals.len(), 2);
}
