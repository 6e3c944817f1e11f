// @trustnxt/c2pa-ts, a C2PA library with no code in common with ours, reads and signs files.
//
//     node npm_c2pa.mjs read FILE...             what it says of each, one JSON object a line
//     node npm_c2pa.mjs sign IN OUT KEY CERT...  signs a PNG or MP4; KEY is PKCS#8, CERTs the signing one first, all DER

import { createPrivateKey, sign as signed } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { X509Certificate } from '@peculiar/x509';
import { BMFF, PNG } from '@trustnxt/c2pa-ts/asset';
import { SuperBox } from '@trustnxt/c2pa-ts/jumbf';
import { ActionAssertion, BMFFHashAssertion, DataHashAssertion, ManifestStore } from '@trustnxt/c2pa-ts/manifest';

BMFF.canReadBrands.add('isom'); // the brand of ordinary MP4s, which it can read and doesn't list
const ES256 = -7;

async function opened(path) {
  const bytes = await readFile(path);
  const Format = [BMFF, PNG].find(format => format.canRead(bytes));
  if (Format === undefined) throw new Error('unknown format');
  return new Format(bytes);
}

async function told(path) {
  const asset = await opened(path);
  const jumbf = asset.getManifestJUMBF();
  if (!jumbf) return { readable: true, signed: false };
  const store = ManifestStore.read(SuperBox.fromBuffer(jumbf));
  const result = await store.validate(asset);
  const active = store.getActiveManifest();
  return {
    readable: true,
    signed: true,
    valid: result.isValid,
    failures: result.statusEntries.filter(entry => !entry.success).map(entry => entry.code),
    generator: active.claim.claimGeneratorName,
    assertions: active.assertions.assertions.map(one => one.fullLabel),
    manifests: store.manifests.length,
  };
}

async function sign([source, target, keyFile, ...certificates]) {
  const asset = await opened(source);
  const chain = await Promise.all(certificates.map(async path => new X509Certificate(await readFile(path))));
  const key = createPrivateKey({ key: await readFile(keyFile), format: 'der', type: 'pkcs8' });
  // Its own LocalSigner writes ECDSA signatures as DER, which COSE (RFC 9053, 2.1) does not allow.
  const signer = {
    algorithm: ES256,
    certificate: chain[0],
    chainCertificates: chain.slice(1),
    sign: async payload => signed('sha256', payload, { key, dsaEncoding: 'ieee-p1363' }),
  };
  const store = new ManifestStore();
  const manifest = store.createManifest({
    assetFormat: asset.mimeType,
    instanceID: 'xmp:iid:another-library',
    defaultHashAlgorithm: 'SHA-256',
    signer,
  });
  const actions = new ActionAssertion();
  actions.actions.push({ action: 'c2pa.created' });
  manifest.addAssertion(actions);
  const hash = asset instanceof BMFF ? BMFFHashAssertion.createV3('jumbf manifest', 'SHA-256') : DataHashAssertion.create('SHA-256');
  manifest.addAssertion(hash);
  await asset.ensureManifestSpace(store.measureSize());
  await hash.updateWithAsset(asset);
  await manifest.sign(signer);
  await asset.writeManifestJUMBF(store.getBytes());
  await writeFile(target, await asset.getDataRange());
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'sign') await sign(rest);
for (const path of what === 'read' ? rest : []) {
  let line;
  try {
    line = await told(path);
  } catch (error) {
    line = { readable: false, error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(line));
}
