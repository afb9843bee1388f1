// Reads the frames of a multi-frame object with dcmjs alone, for what the adapters do not draw (probabilities).
//
// node read_frames.mjs OBJECT
//
// Prints JSON: for each frame its position, segment and stored values as base64 bytes (little endian), undecoded.
import { readFileSync, writeFileSync } from 'node:fs';
import dcmjs from 'dcmjs';

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const one = value => (Array.isArray(value) ? value[0] : value);

const bytes = readFileSync(process.argv[2]);
const message = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const ds = DicomMetaDictionary.naturalizeDataset(message.dict);
const shared = one(ds.SharedFunctionalGroupsSequence) ?? {};
const pixels = new Uint8Array(one(ds.PixelData));
const size = (ds.Rows * ds.Columns * ds.BitsAllocated) / 8;
const mapping = one(shared.RealWorldValueMappingSequence);
writeFileSync(1, JSON.stringify({
  rows: ds.Rows, columns: ds.Columns, bits: ds.BitsAllocated, type: ds.SegmentationType, maximum: ds.MaximumFractionalValue,
  slope: mapping && Number(mapping.RealWorldValueSlope), intercept: mapping && Number(mapping.RealWorldValueIntercept),
  unit: mapping && one(mapping.MeasurementUnitsCodeSequence).CodeValue,
  frames: ds.PerFrameFunctionalGroupsSequence.map((group, index) => ({
    position: one(group.PlanePositionSequence).ImagePositionPatient.map(Number),
    segment: one(group.SegmentIdentificationSequence)?.ReferencedSegmentNumber,
    pixels: Buffer.from(pixels.subarray(index * size, (index + 1) * size)).toString('base64'),
  })),
}));
