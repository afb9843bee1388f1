// Reads a TID 1500 report with dcmjs, as viewers of its family do: the data set's natural form, then its groups.
//
// node read_sr.mjs REPORT
//
// Prints JSON: title, observer, and for each measurement group its tracking, finding, sites, numbers, referenced
// segments and coordinates.
import { readFileSync, writeFileSync } from 'node:fs';
import dcmjs from 'dcmjs';

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const list = value => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]);
const one = value => list(value)[0];
const name = item => one(item.ConceptNameCodeSequence) ?? {};
const content = item => list(item?.ContentSequence);
const named = (item, ...values) => content(item).filter(child => values.includes(name(child).CodeValue));
const code = sequence => {
  const item = one(sequence);
  return item && { value: item.CodeValue, scheme: item.CodingSchemeDesignator, meaning: item.CodeMeaning };
};

function number(item) {
  const measured = one(item.MeasuredValueSequence);
  return {
    name: code(item.ConceptNameCodeSequence),
    value: Number(one(measured.NumericValue)),
    unit: code(measured.MeasurementUnitsCodeSequence),
    within: content(item).filter(child => child.ValueType === 'NUM').map(number),
  };
}

function reference(item) {
  const found = list(item?.ReferencedSOPSequence)[0];
  return found && { instance: found.ReferencedSOPInstanceUID, frame: Number(one(found.ReferencedFrameNumber) ?? 1) };
}

function coordinates(item) {
  const own = ['SCOORD', 'SCOORD3D'].includes(item.ValueType)
    ? [{
        kind: item.ValueType, shape: item.GraphicType, points: list(item.GraphicData).map(Number),
        frame: item.ReferencedFrameOfReferenceUID, image: reference(content(item).find(child => child.ValueType === 'IMAGE')),
      }]
    : [];
  return [...own, ...content(item).flatMap(coordinates)];
}

function group(item) {
  return {
    tracking: one(named(item, '112039'))?.TextValue,
    uid: one(named(item, '112040'))?.UID,
    finding: code(one(named(item, '121071'))?.ConceptCodeSequence),
    sites: named(item, '363698007').map(child => ({
      ...code(child.ConceptCodeSequence), laterality: code(one(named(child, '272741003'))?.ConceptCodeSequence),
    })),
    numbers: content(item).filter(child => child.ValueType === 'NUM').map(number),
    segments: named(item, '121191').flatMap(child => list(child.ReferencedSOPSequence)).map(reference => ({
      instance: reference.ReferencedSOPInstanceUID, number: Number(one(reference.ReferencedSegmentNumber)),
    })),
    coordinates: coordinates(item),
  };
}

const bytes = readFileSync(process.argv[2]);
const message = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const ds = DicomMetaDictionary.naturalizeDataset(message.dict);
const measurements = one(named(ds, '126010'));
writeFileSync(1, JSON.stringify({
  title: code(ds.ConceptNameCodeSequence),
  template: one(ds.ContentTemplateSequence)?.TemplateIdentifier,
  verification: ds.VerificationFlag,
  patient: one(ds.PatientName)?.Alphabetic ?? String(ds.PatientName),
  observer: one(named(ds, '121012'))?.UID,
  groups: named(measurements, '125007').map(group),
  evaluations: named(one(named(ds, 'C0034375', '128110')) ?? {}, '121071').map(item => code(item.ConceptCodeSequence)),
}));
