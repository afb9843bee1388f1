// Reads a DICOM Segmentation as viewers of the Cornerstone family do, onto the images that it was made of.
//
// node read_seg.mjs SEGMENTATION IMAGE...
//
// Prints JSON: the segments, and for each image (frame) its place in the patient and its labels as base64 bytes, one
// array a layer (overlapping segments need several).
import { webcrypto } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { adaptersSEG } from '@cornerstonejs/adapters';
import { metaData } from '@cornerstonejs/core';
import dcmjs from 'dcmjs';

// Node 18 has these, but not as globals.
globalThis.crypto ??= webcrypto;
globalThis.CustomEvent ??= class extends Event {
  constructor(type, options) {
    super(type, options);
    this.detail = options?.detail;
  }
};

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;

function buffer(path) {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

function dataset(path) {
  return DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(buffer(path)).dict);
}

const one = value => (Array.isArray(value) ? value[0] : value);

// One entry a frame: its image id, and the attributes of its plane, wherever they stand.
function frames(path) {
  const ds = dataset(path);
  const count = Number(ds.NumberOfFrames ?? 1);
  const shared = one(ds.SharedFunctionalGroupsSequence) ?? {};
  return Array.from({ length: count }, (_, index) => {
    const own = ds.PerFrameFunctionalGroupsSequence?.[index] ?? {};
    const group = name => one(own[name]) ?? one(shared[name]) ?? ds;
    const orientation = group('PlaneOrientationSequence').ImageOrientationPatient.map(Number);
    return {
      imageId: count > 1 ? `dicomfile:${path}?frame=${index + 1}` : `dicomfile:${path}`,
      ds,
      frame: index + 1,
      position: group('PlanePositionSequence').ImagePositionPatient.map(Number),
      orientation,
      spacing: group('PixelMeasuresSequence').PixelSpacing.map(Number),
    };
  });
}

function provider(images) {
  const known = new Map(images.map(image => [image.imageId, image]));
  const custom = new Map();
  const modules = {
    instance: image => image.ds,
    frameNumber: image => image.frame,
    generalSeriesModule: ({ ds }) => ({ seriesInstanceUID: ds.SeriesInstanceUID, modality: ds.Modality }),
    generalImageModule: ({ ds }) => ({ sopInstanceUID: ds.SOPInstanceUID, sopInstanceUid: ds.SOPInstanceUID }),
    sopCommonModule: ({ ds }) => ({ sopInstanceUID: ds.SOPInstanceUID, sopClassUID: ds.SOPClassUID }),
    imagePixelModule: ({ ds }) => ({
      bitsAllocated: ds.BitsAllocated, bitsStored: ds.BitsStored, highBit: ds.HighBit, rows: ds.Rows, columns: ds.Columns,
      samplesPerPixel: ds.SamplesPerPixel, pixelRepresentation: ds.PixelRepresentation,
      photometricInterpretation: ds.PhotometricInterpretation,
    }),
    imagePlaneModule: image => ({
      frameOfReferenceUID: image.ds.FrameOfReferenceUID, rows: image.ds.Rows, columns: image.ds.Columns,
      imageOrientationPatient: image.orientation, imagePositionPatient: image.position,
      rowCosines: image.orientation.slice(0, 3), columnCosines: image.orientation.slice(3),
      rowPixelSpacing: image.spacing[0], columnPixelSpacing: image.spacing[1], pixelSpacing: image.spacing,
      sliceThickness: Number(image.ds.SliceThickness ?? 1),
    }),
  };
  return {
    get: (type, imageId) => custom.get(`${type} ${imageId}`) ?? (known.has(imageId) ? modules[type]?.(known.get(imageId)) : undefined),
    addCustomMetadata: (imageId, type, value) => custom.set(`${type} ${imageId}`, value),
  };
}

async function read([segmentation, ...paths]) {
  const images = paths.flatMap(frames);
  const metadata = provider(images);
  metaData.addProvider(metadata.get, 10000);
  const imageIds = images.map(image => image.imageId);
  const state = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(
    imageIds, buffer(segmentation), { metadataProvider: metadata });
  const pixels = image => image.voxelManager?.getScalarData?.() ?? image.getPixelData();
  return {
    segments: state.segMetadata.data.filter(Boolean).map(segment => ({
      number: segment.SegmentNumber, label: segment.SegmentLabel, tracking: segment.TrackingUID,
      type: one(segment.SegmentedPropertyTypeCodeSequence)?.CodeValue,
      algorithm: segment.SegmentAlgorithmName, color: segment.RecommendedDisplayCIELabValue,
    })),
    overlapping: state.overlappingSegments,
    images: images.map((image, index) => ({
      instance: image.ds.SOPInstanceUID, frame: image.frame, position: image.position, orientation: image.orientation,
      spacing: image.spacing, rows: image.ds.Rows, columns: image.ds.Columns,
      layers: state.labelMapImages.map(layer => Buffer.from(Uint8Array.from(pixels(layer[index]))).toString('base64')),
    })),
  };
}

writeFileSync(1, JSON.stringify(await read(process.argv.slice(2))));
process.exit(0);
