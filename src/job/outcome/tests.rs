use std::{fs, sync::Arc};

use ::parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::reader::FileReader};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Int64Array, LargeStringArray, TimestampNanosecondArray,
    cast::AsArray,
    types::{Float64Type, Int8Type, TimestampMicrosecondType},
};
use arrow_schema::{Field, Schema};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    rejects::Reject,
    table::{SampleWriter, Sampled},
    *,
};
use crate::{exposure::Peak, trajectory::phase::Phase};

fn full() -> Exposure {
    Exposure {
        flight_id: "SD1, \"x\"".into(),
        contaminant: "ash".into(),
        phase: Phase::Cruise,
        member: Some("p50".into()),
        start_s: 1_528_653_600.0,
        end_s: 1_528_660_800.25,
        duration_s: 7200.25,
        sampled_fraction: 0.5,
        dosage_g_s_m3: Some(1.5e-7),
        mean_mg_m3: Some(0.125),
        peak: Some(Peak {
            mg_m3: 2.5,
            time_s: 1_528_655_000.000_001,
            longitude_deg: -12.75,
            latitude_deg: 52.5,
            pressure_hpa: 226.5,
        }),
        rolling_peak_mg_m3: Some(2.0),
        rolling_window_s: Some(600.0),
        dose_g: Some(3.25),
        time_above_s: vec![("0.2 mg m-3".into(), Some(61.5)), ("2 mg m-3".into(), None)],
        exceedance: vec![("0.2 mg m-3".into(), Some(1.0))],
    }
}

/// Nothing sampled; the numbers that are not optional are spoilt.
fn empty() -> Exposure {
    Exposure {
        flight_id: "SD2".into(),
        phase: Phase::Flight,
        member: None,
        sampled_fraction: 0.0,
        duration_s: f64::NAN,
        dosage_g_s_m3: Some(f64::NAN),
        mean_mg_m3: Some(f64::INFINITY),
        peak: None,
        rolling_peak_mg_m3: None,
        rolling_window_s: None,
        dose_g: None,
        time_above_s: vec![],
        exceedance: vec![],
        ..full()
    }
}

fn rules() -> Metadata {
    let pairs = [("integration", "path"), ("version", "0.1.0"), ("data set", "a \"b\"")];
    Metadata { pairs: pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
}

fn written(name: &str, rows: &[&[Exposure]]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut writer = create(&path, OutputFormat::from_ending(&path).unwrap(), rules()).unwrap();
    for rows in rows {
        writer.write(rows).unwrap();
    }
    assert!(!path.exists(), "half a file is seen");
    writer.note("backend", "cuda, cpu after");
    writer.finish().unwrap();
    (folder, path)
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const HEADER: &str = "flight_id,contaminant,phase,member,start,end,duration_s,sampled_fraction,dosage_g_s_m3,\
    mean_mg_m3,peak_mg_m3,peak_time,peak_longitude,peak_latitude,peak_pressure_hpa,rolling_peak_mg_m3,\
    rolling_window_s,dose_g,time_above_s,exceedance_probability";

#[test]
fn csv_holds_every_value_and_leaves_cells_empty_where_there_is_none() {
    let (folder, path) = written("out.csv", &[&[full()], &[], &[empty()]]);
    let expected = format!(
        "{HEADER}\n\
         \"SD1, \"\"x\"\"\",ash,cruise,p50,2018-06-10T18:00:00.000000Z,2018-06-10T20:00:00.250000Z,7200.25,0.5,1.5e-7,\
         0.125,2.5,2018-06-10T18:23:20.000001Z,-12.75,52.5,226.5,2.0,600.0,3.25,\
         \"{{\"\"0.2 mg m-3\"\":61.5,\"\"2 mg m-3\"\":null}}\",\"{{\"\"0.2 mg m-3\"\":1.0}}\"\n\
         SD2,ash,flight,,2018-06-10T18:00:00.000000Z,2018-06-10T20:00:00.250000Z,,0.0,,,,,,,,,,,\"{{}}\",\"{{}}\"\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(names_in(&folder), ["out.csv", "out.csv.meta.json"]);
    let metadata: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out.csv.meta.json")).unwrap()).unwrap();
    assert_eq!((&metadata["integration"], &metadata["backend"]), (&json!("path"), &json!("cuda, cpu after")));
    assert_eq!(metadata["units"]["dosage_g_s_m3"], "g s m-3");
}

#[test]
fn json_is_one_document_with_null_for_what_is_missing() {
    let (folder, path) = written("out.json", &[&[], &[full()], &[empty()]]);
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(document["metadata"]["data set"], "a \"b\"");
    assert_eq!(document["metadata"]["backend"], "cuda, cpu after");
    assert_eq!(document["metadata"]["units"]["peak_pressure_hpa"], "hPa");
    let rows = document["exposures"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].as_object().unwrap().len(), HEADER.split(',').count());
    for (name, value) in [
        ("flight_id", json!("SD1, \"x\"")),
        ("phase", json!("cruise")),
        ("end", json!("2018-06-10T20:00:00.250000Z")),
        ("dosage_g_s_m3", json!(1.5e-7)),
        ("peak_longitude", json!(-12.75)),
        ("time_above_s", json!({"0.2 mg m-3": 61.5, "2 mg m-3": null})),
    ] {
        assert_eq!(rows[0][name], value, "{name}");
    }
    for name in ["member", "duration_s", "dosage_g_s_m3", "mean_mg_m3", "peak_mg_m3", "peak_time", "dose_g"] {
        assert!(rows[1][name].is_null(), "{name}: {}", rows[1][name]);
    }
    assert_eq!(names_in(&folder), ["out.json"]);
    let (_folder, path) = written("none.json", &[]);
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(document["exposures"], json!([]));
}

#[test]
fn parquet_holds_types_values_nulls_and_metadata() {
    let (folder, path) = written("out.parquet", &[&[full(), empty()], &[full()]]);
    let builder = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(builder.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(","), HEADER);
    assert_eq!(builder.schema().field(8).metadata()["unit"], "g s m-3");
    assert_eq!(builder.schema().metadata()["integration"], "path");
    assert_eq!(builder.schema().metadata()["backend"], "cuda, cpu after");
    let footer = ::parquet::file::reader::SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let pairs = footer.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let value = |key: &str| pairs.iter().find(|p| p.key == key).and_then(|p| p.value.clone()).unwrap();
    assert_eq!((value("integration"), value("backend")), ("path".to_owned(), "cuda, cpu after".to_owned()));
    let units: Value = serde_json::from_str(&value("units")).unwrap();
    assert_eq!(units["mean_mg_m3"], "mg m-3");
    assert_eq!(units.as_object().unwrap().len(), HEADER.split(',').count(), "a column has no unit");

    let batch = builder.build().unwrap().next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), 3);
    let start = batch["start"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(start.value(0), 1_528_653_600_000_000);
    assert_eq!(start.timezone(), Some("UTC"));
    let peak_time = batch["peak_time"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(peak_time.value(0), 1_528_655_000_000_001);
    assert!(peak_time.is_null(1));
    let dosage = batch["dosage_g_s_m3"].as_primitive::<Float64Type>();
    assert_eq!(dosage.iter().collect::<Vec<_>>(), [Some(1.5e-7), None, Some(1.5e-7)]);
    assert!(matches!(batch["phase"].data_type(), DataType::Dictionary(..)));
    assert!(batch["member"].is_null(1));
    let above = batch["time_above_s"].as_map();
    assert_eq!(above.value_offsets(), [0, 2, 2, 4]);
    assert_eq!(above.keys().as_string::<i32>().value(1), "2 mg m-3");
    assert!(above.values().is_null(1));
    assert_eq!(names_in(&folder), ["out.parquet"]);
}

#[test]
fn many_rows_stay_in_order_over_tasks_and_slices() {
    let rows: Vec<_> = (0..300_001).map(|i| Exposure { flight_id: format!("F{i}").into(), ..empty() }).collect();
    let (_folder, path) = written("out.csv", &[&rows]);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.lines().skip(1).enumerate().all(|(i, line)| line.starts_with(&format!("F{i},"))));
    assert_eq!(text.lines().count(), 300_002);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_and_the_old_file_in_place() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.csv", "a.json", "a.parquet"] {
        let path = folder.path().join(name);
        fs::write(&path, "old").unwrap();
        let mut writer = create(&path, OutputFormat::from_ending(&path).unwrap(), rules()).unwrap();
        writer.write(&[full()]).unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
    assert_eq!(names_in(&folder), ["a.csv", "a.json", "a.parquet"]);
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |path: &Path| create(path, OutputFormat::Json, rules()).err().unwrap().to_string();
    assert!(fault(folder.path()).contains("is a folder"));
    let missing = folder.path().join("no/such/out.json");
    assert!(fault(&missing).starts_with(missing.to_str().unwrap()));
    assert!(OutputFormat::from_ending(Path::new("out.xlsx")).unwrap_err().to_string().contains("parquet, csv or json"));
    assert!(OutputFormat::from_ending(Path::new("parquet")).is_err());
    assert_eq!(OutputFormat::from_ending(Path::new("a.PARQUET")).unwrap(), OutputFormat::Parquet);
}

#[cfg(unix)]
#[test]
fn a_result_is_as_readable_as_any_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = written("out.csv", &[]);
    let other = folder.path().join("other");
    fs::write(&other, "").unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&other));
}

#[test]
fn rejects_lie_beside_the_results_and_go_when_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("result.parquet");
    let reject = Reject {
        flight_id: "AB1".to_owned(),
        reason: "times go back, \"twice\"".to_owned(),
        waypoints: 7,
        file: PathBuf::from("in.csv"),
    };
    let path = rejects::write(&out, &[reject]).unwrap().unwrap();
    assert_eq!(path, folder.path().join("result.rejects.csv"));
    let expected = "flight_id,reason,waypoints,file\nAB1,\"times go back, \"\"twice\"\"\",7,in.csv\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(rejects::write(&out, &[]).unwrap(), None);
    assert!(!path.exists());
    assert_eq!(rejects::write(&out, &[]).unwrap(), None);
}

/// Columns as pandas, polars and Arrow make them.
fn waypoints() -> RecordBatch {
    let aircraft: DictionaryArray<Int8Type> = [Some("a320"), None].into_iter().collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("flight_id", Arc::new(LargeStringArray::from(vec!["x", "y"]))),
        ("time", Arc::new(TimestampNanosecondArray::from(vec![Some(1_546_345_800_000_000_001), None]))),
        ("aircraft", Arc::new(aircraft)),
        ("fuel", Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN)]))),
        ("seat", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn sampled_to(name: &str, input: &RecordBatch) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let variable = [Sampled { name: "t".to_owned(), unit: "K".to_owned() }];
    let format = OutputFormat::from_ending(&path).unwrap();
    let mut writer = SampleWriter::create(&path, format, &input.schema(), &variable, Metadata::default()).unwrap();
    writer.write(input, &[vec![f64::NAN, 216.65]]).unwrap();
    writer.finish().unwrap();
    (folder, path)
}

#[test]
fn samples_stand_beside_the_columns_of_the_flights() {
    let input = waypoints();
    let (_folder, path) = sampled_to("s.csv", &input);
    let expected = "flight_id,time,aircraft,fuel,seat,t\n\
        x,2019-01-01T12:30:00.000000001,a320,0.1,9223372036854775807,\n\
        y,,,,,216.65\n";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);

    let (_folder, path) = sampled_to("s.json", &input);
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let second = json!({"flight_id": "y", "time": null, "aircraft": null, "fuel": null, "seat": null, "t": 216.65});
    assert_eq!(document["waypoints"][1], second);
    assert_eq!(document["metadata"], json!({"units": {"t": "K"}}));

    let (_folder, path) = sampled_to("s.parquet", &input);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let batch = reader.last().unwrap().unwrap();
    assert_eq!(batch.column(0), input.column(0));
    assert_eq!(batch.column(1), input.column(1));
    assert_eq!(batch["t"].as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [None, Some(216.65)]);
}

#[test]
fn a_table_that_cannot_be_written_is_refused_before_anything_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.csv");
    let create = |field: Field| {
        let variable = [Sampled { name: "t".to_owned(), unit: "K".to_owned() }];
        SampleWriter::create(&path, OutputFormat::Csv, &Schema::new(vec![field]), &variable, Metadata::default())
    };
    let fault = create(Field::new("t", DataType::Float64, true)).err().unwrap().to_string();
    assert!(fault.contains("already have a column t"), "{fault}");
    let fault = create(Field::new("blob", DataType::Binary, true)).err().unwrap().to_string();
    assert!(fault.contains("column blob is Binary"), "{fault}");
    assert!(names_in(&folder).is_empty());

    let mut writer = create(Field::new("seat", DataType::Int64, true)).unwrap();
    let input = waypoints().project(&[4]).unwrap();
    let fault = writer.write(&input, &[vec![1.0]]).unwrap_err().to_string();
    assert!(fault.starts_with(path.to_str().unwrap()), "{fault}");
}

#[test]
fn times_are_written_over_the_whole_calendar() {
    let times = TimestampNanosecondArray::from(vec![-1, i64::MIN, i64::MAX]).with_timezone("UTC");
    let input = RecordBatch::try_from_iter([("time", Arc::new(times) as ArrayRef)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let mut writer = SampleWriter::create(&path, OutputFormat::Csv, &input.schema(), &[], Metadata::default()).unwrap();
    writer.write(&input, &[]).unwrap();
    writer.finish().unwrap();
    // As numpy writes np.datetime64(i, "ns").
    let expected =
        "time\n1969-12-31T23:59:59.999999999Z\n1677-09-21T00:12:43.145224192Z\n2262-04-11T23:47:16.854775807Z\n";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
    assert_eq!(names_in(&folder), ["t.csv"]);
}
