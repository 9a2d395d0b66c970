//! The JSON of a store: groups, arrays, attributes, of both versions.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::field::{FieldError, cf::Attribute};

/// Longest metadata document that is read: a consolidated one of thousands
/// of arrays is below it.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// What a store's root says, and the arrays in it by name.
pub(super) struct Group {
    /// 2 or 3.
    pub(super) version: u8,
    pub(super) attributes: Map<String, Value>,
    pub(super) arrays: BTreeMap<String, Node>,
    /// Groups within the group, which are not entered.
    pub(super) subgroups: Vec<String>,
}

/// The metadata of an array.
pub(super) struct Node {
    /// The document that says it.
    pub(super) path: PathBuf,
    /// `.zarray`, or `zarr.json`.
    pub(super) metadata: Value,
    pub(super) attributes: Map<String, Value>,
}

impl Group {
    /// Reads the metadata of the store in folder `root`.
    pub(super) fn read(root: &Path) -> Result<Self, FieldError> {
        let mut group = if let Some(document) = read_json(&root.join("zarr.json"))? {
            Self::from_v3(root, &document)?
        } else if root.join(".zarray").exists() {
            return Err(single_array(root));
        } else {
            Self::from_v2(root)?
        };
        group.read_children(root)?;
        Ok(group)
    }

    fn from_v3(root: &Path, document: &Value) -> Result<Self, FieldError> {
        let path = root.join("zarr.json");
        if document["zarr_format"] != 3 {
            return Err(FieldError::corrupt(&path, format!("zarr_format {}, expected 3", document["zarr_format"])));
        }
        match document["node_type"].as_str() {
            Some("group") => {}
            Some("array") => return Err(single_array(root)),
            _ => return Err(FieldError::corrupt(&path, format!("node_type {}", document["node_type"]))),
        }
        let mut arrays = BTreeMap::new();
        for (name, node) in document["consolidated_metadata"]["metadata"].as_object().into_iter().flatten() {
            if node["node_type"] == "array" && is_plain_name(name) {
                arrays.insert(name.clone(), Node::v3(path.clone(), node.clone()));
            }
        }
        Ok(Self { version: 3, attributes: object(&document["attributes"]), arrays, subgroups: Vec::new() })
    }

    fn from_v2(root: &Path) -> Result<Self, FieldError> {
        let path = root.join(".zmetadata");
        let consolidated = read_json(&path)?.unwrap_or_default();
        let documents = object(&consolidated["metadata"]);
        let mut arrays = BTreeMap::new();
        for (key, metadata) in &documents {
            if let Some(name) = key.strip_suffix("/.zarray").filter(|name| is_plain_name(name)) {
                let attributes = documents.get(&format!("{name}/.zattrs")).map(object).unwrap_or_default();
                arrays.insert(name.to_owned(), Node { path: path.clone(), metadata: metadata.clone(), attributes });
            }
        }
        let attributes = match read_json(&root.join(".zattrs"))? {
            Some(attributes) => object(&attributes),
            None => documents.get(".zattrs").map(object).unwrap_or_default(),
        };
        Ok(Self { version: 2, attributes, arrays, subgroups: Vec::new() })
    }

    /// What the folders themselves say goes before consolidated metadata.
    fn read_children(&mut self, root: &Path) -> Result<(), FieldError> {
        let io = |source| FieldError::Io { path: root.to_owned(), source };
        for entry in fs::read_dir(root).map_err(io)? {
            let dir = entry.map_err(io)?.path();
            let Some(name) = dir.file_name().and_then(|n| n.to_str()).map(str::to_owned) else {
                continue;
            };
            if !dir.is_dir() {
                continue;
            }
            if self.version == 3 {
                let path = dir.join("zarr.json");
                match read_json(&path)? {
                    Some(document) if document["node_type"] == "array" => {
                        self.arrays.insert(name, Node::v3(path, document));
                    }
                    Some(document) if document["node_type"] == "group" => self.subgroups.push(name),
                    Some(document) => {
                        return Err(FieldError::corrupt(&path, format!("node_type {}", document["node_type"])));
                    }
                    None => {}
                }
            } else if let Some(metadata) = read_json(&dir.join(".zarray"))? {
                let attributes = read_json(&dir.join(".zattrs"))?.map(|a| object(&a)).unwrap_or_default();
                self.arrays.insert(name, Node { path: dir.join(".zarray"), metadata, attributes });
            } else if dir.join(".zgroup").exists() {
                self.subgroups.push(name);
            }
        }
        self.subgroups.sort();
        Ok(())
    }
}

impl Node {
    fn v3(path: PathBuf, metadata: Value) -> Self {
        let attributes = object(&metadata["attributes"]);
        Self { path, metadata, attributes }
    }

    /// Names of the dimensions: `dimension_names`, or xarray's attribute in
    /// version 2; `None` where there are none.
    pub(super) fn dimensions(&self) -> Option<Vec<String>> {
        let names = match self.attributes.get("_ARRAY_DIMENSIONS") {
            Some(names) => names,
            None => &self.metadata["dimension_names"],
        };
        let names = names.as_array()?;
        Some(
            names
                .iter()
                .enumerate()
                .map(|(i, n)| n.as_str().map_or_else(|| format!("dim_{i}"), str::to_owned))
                .collect(),
        )
    }

    /// The attributes as CF has them. `is_float` says what kind of number the
    /// elements are, `is_data` that the array is not its own coordinate.
    pub(super) fn cf_attributes(&self, is_float: bool, is_data: bool) -> BTreeMap<String, Attribute> {
        let mut found: BTreeMap<String, Attribute> = self
            .attributes
            .iter()
            .filter(|(name, _)| *name != "_ARRAY_DIMENSIONS")
            .filter_map(|(name, value)| Some((name.clone(), attribute(value)?)))
            .collect();
        if let Some(Attribute::Text(text)) = found.get("_FillValue")
            && is_float
            && let Some(number) = float_from_text(text)
        {
            found.insert("_FillValue".to_owned(), Attribute::Numbers(vec![number]));
        }
        // In version 2 the fill value is what xarray writes _FillValue as; a
        // coordinate has no missing values, whatever the store's default is.
        if self.metadata["zarr_format"] == 2 && is_data && !found.contains_key("_FillValue") {
            let fill = &self.metadata["fill_value"];
            if let Some(number) = fill.as_f64().or_else(|| fill.as_str().and_then(float_from_text)) {
                found.insert("_FillValue".to_owned(), Attribute::Numbers(vec![number]));
            }
        }
        found
    }
}

/// A fill value in text: `NaN`, `-Infinity`, or base64 of eight little-endian
/// bytes, which is how xarray writes `_FillValue` in version 3.
pub(super) fn float_from_text(text: &str) -> Option<f64> {
    match text {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_suffix('=').filter(|d| d.len() == 11)?;
    let mut bits: u128 = 0;
    for c in digits.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u128::from(six);
    }
    // 11 digits of 6 bits: 8 bytes and 2 bits of padding.
    let big_endian = u64::try_from(bits >> 2).ok()?;
    Some(f64::from_bits(big_endian.swap_bytes()))
}

fn attribute(value: &Value) -> Option<Attribute> {
    match value {
        Value::String(text) => Some(Attribute::Text(text.clone())),
        Value::Number(number) => Some(Attribute::Numbers(vec![number.as_f64()?])),
        Value::Array(items) => {
            let number = |v: &Value| v.as_f64().or_else(|| v.as_str().and_then(float_from_text));
            items.iter().map(number).collect::<Option<Vec<f64>>>().map(Attribute::Numbers)
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

/// Reads a metadata document; `None` where there is none.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>, FieldError> {
    let io = |source| FieldError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(m) if !m.is_file() => return Err(FieldError::corrupt(path, "not a file, expected JSON")),
        Ok(m) if m.len() > MAX_METADATA_BYTES => {
            return Err(FieldError::corrupt(path, format!("{} bytes of JSON, expected at most 64 MiB", m.len())));
        }
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(io(source)),
    }
    let bytes = fs::read(path).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|_| FieldError::corrupt(path, "not UTF-8, expected JSON"))?;
    let value = serde_json::from_str(&text)
        .or_else(|error| serde_json::from_str(&quote_non_finite(&text)).map_err(|_| error))
        .map_err(|error| FieldError::corrupt(path, format!("broken JSON: {error}")))?;
    Ok(Some(value))
}

/// Puts quotes around `NaN` and `Infinity`, which Python writes bare though
/// JSON has no such numbers.
fn quote_non_finite(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let token = ["NaN", "Infinity", "-Infinity"].into_iter().find(|t| !in_string && rest.starts_with(t));
        let taken = if let Some(token) = token {
            out.extend(["\"", token, "\""]);
            token.len()
        } else if in_string && c == '\\' {
            let escaped = rest.chars().nth(1).map_or(1, |e| 1 + e.len_utf8());
            out.push_str(&rest[..escaped]);
            escaped
        } else {
            in_string ^= c == '"';
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

fn single_array(root: &Path) -> FieldError {
    FieldError::unsupported(root, "a single Zarr array", "open the folder of the store that it belongs to")
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Whether a name stays within the folder of the store.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(n)), None) if n == name)
}
