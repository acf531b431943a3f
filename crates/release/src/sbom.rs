//! The bill of materials of a binary, in the format `CycloneDX`: made the same on each machine, and compared with the binary.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::binary::Crate;
use crate::names::{Part, Version};
use crate::sums::sha256;
use crate::template::canonical;

/// The folder in which a release says that it was built.
pub const ROOT: &str = "file:///hubkeeper";

/// The lists of a bill of materials, each with the field that names an item.
const LISTS: [(&str, &str); 2] = [("components", "bom-ref"), ("dependencies", "ref")];

/// Returns one bill of materials of those for each target, without the folder, the time and the random number of the runs that made
/// them: the folder is [`ROOT`], the time is `epoch`, and the serial number is a digest of the rest.
///
/// # Errors
/// Returns what is wrong if one of them is not a bill of materials.
pub fn normalized(texts: &[String], workspace: &str, epoch: u64) -> Result<String, String> {
    let mut merged: Option<Value> = None;
    for text in texts {
        let bom: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        if bom["bomFormat"] != "CycloneDX" || !bom["metadata"].is_object() {
            return Err("is not a bill of materials of CycloneDX".to_owned());
        }
        match &mut merged {
            None => merged = Some(bom),
            Some(merged) => merge(merged, &bom),
        }
    }
    let mut bom = merged.ok_or("names no bill of materials")?;
    replace(&mut bom, &format!("file://{}", workspace.trim_end_matches('/')), ROOT);
    let time = i64::try_from(epoch).ok().and_then(|epoch| OffsetDateTime::from_unix_timestamp(epoch).ok());
    let time = time.and_then(|time| time.format(&Rfc3339).ok()).ok_or_else(|| format!("{epoch} is not a time"))?;
    bom["metadata"]["timestamp"] = json!(time);
    for (list, key) in LISTS {
        if let Some(items) = bom[list].as_array_mut() {
            items.sort_by_cached_key(|item| item[key].as_str().map(str::to_owned));
        }
    }
    if let Some(fields) = bom.as_object_mut() {
        fields.remove("serialNumber");
    }
    let mut bom = canonical(bom);
    bom["serialNumber"] = json!(serial_number(&bom.to_string()));
    serde_json::to_string_pretty(&canonical(bom)).map(|text| format!("{text}\n")).map_err(|error| error.to_string())
}

/// Adds the components of another target, and what they depend on.
fn merge(into: &mut Value, other: &Value) {
    for (list, key) in LISTS {
        let (Some(items), Some(others)) = (into[list].as_array_mut(), other[list].as_array()) else { continue };
        for each in others {
            match items.iter_mut().find(|item| item[key] == each[key]) {
                None => items.push(each.clone()),
                Some(item) => {
                    let depends = |item: &Value| item["dependsOn"].as_array().cloned().unwrap_or_default();
                    let all: BTreeSet<String> = depends(item)
                        .iter()
                        .chain(&depends(each))
                        .filter_map(|name| name.as_str().map(str::to_owned))
                        .collect();
                    if !all.is_empty() {
                        item["dependsOn"] = json!(all);
                    }
                }
            }
        }
    }
}

fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, from, to)),
        _ => {}
    }
}

/// Returns a UUID of version 8 (RFC 9562), made from a digest.
fn serial_number(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

/// Returns the crates that a bill of materials lists, with the package itself.
///
/// # Errors
/// Returns what is wrong if it is not about this package in this version, or not made by [`normalized`].
pub fn listed(text: &str, part: Part, version: &Version) -> Result<BTreeSet<Crate>, String> {
    let bom: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let component = &bom["metadata"]["component"];
    if component["name"] != part.package() || component["version"] != version.as_str() {
        return Err(format!(
            "is about {} {}, not {} {version}",
            component["name"],
            component["version"],
            part.package()
        ));
    }
    let epoch = bom["metadata"]["timestamp"].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let epoch = epoch.and_then(|time| u64::try_from(time.unix_timestamp()).ok()).ok_or("has no time")?;
    if normalized(&[text.to_owned()], "/hubkeeper", epoch)? != text {
        return Err("has a serial number or an order of its own, which the next build would not have".to_owned());
    }
    if let Some((at, _)) = text.match_indices("file:///").find(|(at, _)| !text[*at..].starts_with(ROOT)) {
        let path: String = text[at..].chars().take_while(|character| *character != '"').collect();
        return Err(format!("names a folder of the machine that built it: {path}"));
    }
    let components = bom["components"].as_array().ok_or("lists no components")?;
    let each = components.iter().chain([component]).map(|component| {
        let text = |field: &str| component[field].as_str().map(str::to_owned);
        Some(Crate { name: text("name")?, version: text("version")? })
    });
    each.collect::<Option<BTreeSet<_>>>().ok_or_else(|| "has a component without name or version".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(workspace: &str, serial: &str, time: &str) -> String {
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "serialNumber": serial,
            "metadata": {
                "timestamp": time,
                "component": {"name": "hubkeeper", "version": "0.1.0", "bom-ref": format!("path+file://{workspace}#0.1.0"),
                              "purl": "pkg:cargo/hubkeeper@0.1.0?download_url=file://."},
            },
            "components": [
                {"name": "ring", "version": "0.17.0", "bom-ref": "registry+ring"},
                {"name": "hubkeeper-core", "version": "0.1.0", "bom-ref": format!("path+file://{workspace}/crates/core#0.1.0")},
            ],
        })
        .to_string()
    }

    fn version() -> Version {
        Version::parse("0.1.0").unwrap()
    }

    #[test]
    fn folder_time_and_number_of_the_run_do_not_matter() {
        let here =
            normalized(&[made("/src/here", "urn:uuid:1", "2026-01-01T00:00:00Z")], "/src/here", 1_790_000_000).unwrap();
        let there =
            normalized(&[made("/other/x", "urn:uuid:2", "2027-01-01T00:00:00Z")], "/other/x/", 1_790_000_000).unwrap();
        assert_eq!(here, there);
        assert!(here.contains("2026-09-21T") && here.contains("path+file:///hubkeeper/crates/core#0.1.0"), "{here}");
        let bom: Value = serde_json::from_str(&here).unwrap();
        let serial = bom["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), &serial[23..24], &serial[28..29]), (45, "8", "a"), "{serial}");
        let later = normalized(&[made("/other/x", "urn:uuid:2", "2027")], "/other/x", 1_790_000_001).unwrap();
        assert!(!later.contains(serial), "other content has another number");
    }

    #[test]
    fn the_list_is_read_back_only_if_the_next_build_has_the_same() {
        let text = normalized(&[made("/src/here", "urn:uuid:1", "2026")], "/src/here", 1_790_000_000).unwrap();
        let listed_here = |text: &str| listed(text, Part::Function, &version());
        let names: Vec<String> = listed_here(&text).unwrap().into_iter().map(|each| each.name).collect();
        assert_eq!(names, ["hubkeeper", "hubkeeper-core", "ring"]);
        let serial = text.find("urn:uuid:").unwrap() + 9;
        let other_serial = format!("{}0000{}", &text[..serial], &text[serial + 4..]);
        assert!(listed_here(&other_serial).unwrap_err().contains("serial number"));
        let left = normalized(&[made("/src/here", "urn:uuid:1", "2026")], "/elsewhere", 1_790_000_000).unwrap();
        assert!(listed_here(&left).unwrap_err().contains("file:///src/here"));
        assert!(listed(&text, Part::CommandLine, &version()).unwrap_err().contains("not hubkeeper-cli 0.1.0"));
        assert!(listed(&text, Part::Function, &Version::parse("0.2.0").unwrap()).is_err());
        for bad in [vec![], vec![String::new()], vec!["{}".to_owned()]] {
            assert!(normalized(&bad, "/", 0).is_err());
        }
    }

    #[test]
    fn the_crates_of_each_target_are_in_one_list() {
        let of = |name: &str, depends: &str| {
            let mut bom: Value = serde_json::from_str(&made("/x", "urn:uuid:1", "2026")).unwrap();
            bom["components"][0] = json!({"name": name, "version": "1.0.0", "bom-ref": name});
            bom["dependencies"] = json!([{"ref": "root", "dependsOn": ["common", depends]}, {"ref": name}]);
            bom.to_string()
        };
        let both = normalized(&[of("neon", "neon"), of("cpuid", "cpuid")], "/x", 0).unwrap();
        let names: Vec<String> =
            listed(&both, Part::Function, &version()).unwrap().into_iter().map(|each| each.name).collect();
        assert_eq!(names, ["cpuid", "hubkeeper", "hubkeeper-core", "neon"]);
        let bom: Value = serde_json::from_str(&both).unwrap();
        assert_eq!(
            bom["dependencies"],
            json!([{"ref": "cpuid"}, {"ref": "neon"}, {"ref": "root", "dependsOn": ["common", "cpuid", "neon"]}])
        );
        assert_eq!(both, normalized(&[of("cpuid", "cpuid"), of("neon", "neon")], "/x", 0).unwrap(), "in any order");
    }
}
