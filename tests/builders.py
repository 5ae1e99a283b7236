"""Synthetic charts: plain clinical facts turned into the FHIR R4 resources an EHR could hold for them.

The opposite direction of the product's reading, written without looking at it: standard codes where one says the fact,
project-local Observations for the rest. ``style`` chooses among codings that mean the same, so that one case exercises
several ways of recording it. A fact that is absent leaves no trace in the chart.

No fact is said twice, with one exception: an operation carries its date beside the exact stated number of months.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from cds_service.domain.facts import FACTS, Kind

AS_OF: Final = dt.date(2026, 11, 20)
PATIENT_ID: Final = "p1"
ENCOUNTER_ID: Final = "enc1"
USER: Final = "Practitioner/dr-1"
STYLES: Final = (0, 1, 2)

_PATIENT: Final = f"Patient/{PATIENT_ID}"
_FHIR_BASE: Final = "https://ehr.example.org/fhir"
_REQUISITIONS: Final = "https://ehr.example.org/requisitions"
_DAYS_PER_MONTH: Final = 30.4375

LOCAL: Final = "https://pnet-cds.example.org/fhir/CodeSystem/pnet-cds-local"
SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
ICDO3: Final = "http://terminology.hl7.org/CodeSystem/icd-o-3"
CPT: Final = "http://www.ama-assn.org/go/cpt"
HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
NCIT_OID: Final = "urn:oid:2.16.840.1.113883.3.26.1.1"
UCUM: Final = "http://unitsofmeasure.org"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"

_RECENT: Final = AS_OF - dt.timedelta(days=14)
_TREATED: Final = AS_OF - dt.timedelta(days=400)
_UNDER_WAY: Final = AS_OF - dt.timedelta(days=20)

Resource = dict[str, Any]


class Code(NamedTuple):
    """One coding."""

    system: str
    code: str
    display: str


def _sct(code: str, display: str) -> Code:
    return Code(SNOMED, code, display)


def _loinc(code: str, display: str) -> Code:
    return Code(LOINC, code, display)


def _icd(code: str, display: str) -> Code:
    return Code(ICD10CM, code, display)


def _cpt(code: str, display: str) -> Code:
    return Code(CPT, code, display)


def _hcpcs(code: str, display: str) -> Code:
    return Code(HCPCS, code, display)


def _rxnorm(code: str, display: str) -> Code:
    return Code(RXNORM, code, display)


def _local(code: str) -> Code:
    return Code(LOCAL, code, code.replace("-", " "))


# --- conditions: one tuple of codings per style -----------------------------------------------------------------------

_Styled = tuple[tuple[Code, ...], tuple[Code, ...], tuple[Code, ...]]

_PNET_ICD: Final = _icd("C25.4", "Malignant neoplasm of endocrine pancreas")
_PNET_SCT: Final = _sct("735735001", "Primary malignant neuroendocrine neoplasm of pancreas (disorder)")
_NET_OTHER_SITE: Final = _icd("C7A.098", "Malignant carcinoid tumors of other sites")
_NET_NO_SITE: Final[_Styled] = (
    (_icd("C7A.8", "Other malignant neuroendocrine tumors"),),
    (_sct("133531000119104", "Malignant neuroendocrine tumor (disorder)"),),
    (_sct("255046005", "Neuroendocrine neoplasm"),),
)
_NET_WITH_SITE: Final[dict[str, _Styled]] = {
    "pancreas": ((_PNET_ICD,), (_PNET_SCT,), (_PNET_SCT, _PNET_ICD)),
    "stomach": (
        (_icd("C7A.092", "Malignant carcinoid tumor of the stomach"),),
        (_sct("721634009", "Primary malignant neuroendocrine neoplasm of stomach (disorder)"),),
        (_sct("709830006", "Malignant carcinoid tumor of stomach (disorder)"),),
    ),
    "duodenum": (
        (_icd("C7A.010", "Malignant carcinoid tumor of the duodenum"),),
        (_sct("721644006", "Primary malignant neuroendocrine neoplasm of duodenum (disorder)"),),
        (_sct("123761000119103", "Malignant carcinoid tumor of duodenum (disorder)"),),
    ),
    "ampulla": (
        (_sct("733351008", "Primary malignant neuroendocrine neoplasm of ampulla of Vater (disorder)"),),
        (_sct("733351008", "Primary malignant neuroendocrine neoplasm of ampulla of Vater (disorder)"),),
        (_sct("314947008", "Carcinoid tumor of ampulla of Vater (disorder)"),),
    ),
    "jejunum-ileum": (
        (_icd("C7A.012", "Malignant carcinoid tumor of the ileum"),),
        (_sct("721670007", "Primary malignant neuroendocrine neoplasm of small intestine (disorder)"),),
        (_icd("C7A.019", "Malignant carcinoid tumor of the small intestine, unspecified portion"),),
    ),
    "appendix": (
        (_icd("C7A.020", "Malignant carcinoid tumor of the appendix"),),
        (_sct("721673009", "Primary malignant neuroendocrine neoplasm of appendix (disorder)"),),
        (_sct("192681000119104", "Malignant carcinoid tumor of appendix (disorder)"),),
    ),
    "colon": (
        (_icd("C7A.022", "Malignant carcinoid tumor of the ascending colon"),),
        (_sct("721698005", "Primary malignant neuroendocrine neoplasm of colon (disorder)"),),
        (_sct("726654006", "Malignant carcinoid tumor of colon (disorder)"),),
    ),
    "rectum": (
        (_icd("C7A.026", "Malignant carcinoid tumor of the rectum"),),
        (_sct("721700001", "Primary malignant neuroendocrine neoplasm of rectum (disorder)"),),
        (_sct("713573006", "Malignant carcinoid tumor of rectum (disorder)"),),
    ),
    "lung": (
        (_icd("C7A.090", "Malignant carcinoid tumor of the bronchus and lung"),),
        (_sct("722528008", "Primary malignant neuroendocrine neoplasm of lung (disorder)"),),
        (_sct("254627002", "Carcinoid tumor of lung (disorder)"),),
    ),
    "thymus": (
        (_icd("C7A.091", "Malignant carcinoid tumor of the thymus"),),
        (_icd("C7A.091", "Malignant carcinoid tumor of the thymus"),),
        (_icd("C7A.091", "Malignant carcinoid tumor of the thymus"),),
    ),
    "other": (
        (_icd("C7A.093", "Malignant carcinoid tumor of the kidney"),),
        (_sct("713574000", "Malignant carcinoid tumor of kidney (disorder)"),),
        (_icd("C7A.093", "Malignant carcinoid tumor of the kidney"),),
    ),
}
_NET_SITE_SAID_APART: Final[dict[str, _Styled]] = {
    "unknown-primary": _NET_NO_SITE,
    "liver": ((_NET_OTHER_SITE,), _NET_NO_SITE[1], (_NET_OTHER_SITE,)),
    "adrenal": ((_NET_OTHER_SITE,), _NET_NO_SITE[1], (_NET_OTHER_SITE,)),
}
_PANCREATIC_CARCINOMA: Final = {
    "poor": _sct("1186869002", "Neuroendocrine carcinoma of pancreas (disorder)"),
    "mixed": _sct("1186735007", "Mixed neuroendocrine-non neuroendocrine neoplasm of pancreas (disorder)"),
}
_HEPATIC_CARCINOMA: Final = _sct("716652006", "Primary hepatic neuroendocrine carcinoma (disorder)")
_ADENOCARCINOMA: Final[_Styled] = (
    (_icd("C25.9", "Malignant neoplasm of pancreas, unspecified"),),
    (_sct("1651000119109", "Primary adenocarcinoma of pancreas (disorder)"),),
    (_sct("1148551007", "Infiltrating duct carcinoma of pancreas (disorder)"),),
)
_CARCINOID_SYNDROME: Final[_Styled] = (
    (_icd("E34.00", "Carcinoid syndrome, unspecified"),),
    (_sct("35868009", "Carcinoid syndrome (disorder)"),),
    (_sct("35868009", "Carcinoid syndrome (disorder)"),),
)
_ZOLLINGER_ELLISON: Final = _sct("53132006", "Zollinger-Ellison syndrome (disorder)")
_HORMONE_EXCESS: Final[dict[str, _Styled]] = {
    "gastrinoma": (
        (_ZOLLINGER_ELLISON,),
        (_icd("E16.4", "Increased secretion of gastrin"),),
        (_ZOLLINGER_ELLISON, _icd("E16.4", "Increased secretion of gastrin")),
    ),
    "glucagonoma": (
        (_icd("E16.3", "Increased secretion of glucagon"),),
        (_icd("E16.3", "Increased secretion of glucagon"),),
        (_icd("E16.3", "Increased secretion of glucagon"),),
    ),
    "carcinoid": _CARCINOID_SYNDROME,
}
_FUNCTIONING_PANCREATIC: Final = {
    "insulinoma": (_sct("713189001", "Malignant insulinoma (disorder)"), _sct("302822000", "Insulinoma of pancreas")),
    "gastrinoma": (_sct("1187519007", "Malignant gastrinoma of pancreas (disorder)"), _ZOLLINGER_ELLISON),
    "glucagonoma": (
        _sct("302823005", "Glucagonoma (disorder)"),
        _sct("1187521002", "Malignant glucagonoma of pancreas (disorder)"),
    ),
    "vipoma": (
        _sct("253005002", "Vasoactive intestinal peptide-secreting tumor (disorder)"),
        _sct("253005002", "Vasoactive intestinal peptide-secreting tumor (disorder)"),
    ),
    "somatostatinoma": (
        _sct("253006001", "Somatostatinoma (disorder)"),
        _sct("253006001", "Somatostatinoma (disorder)"),
    ),
}
_SYNDROME_OF_ANY_SITE: Final = {
    "acthoma": (_icd("E24.3", "Ectopic ACTH syndrome"), _sct("626004", "Ectopic ACTH secretion syndrome")),
    "carcinoid": (_CARCINOID_SYNDROME[0][0], _CARCINOID_SYNDROME[1][0]),
}
_HEREDITARY: Final = {
    "men1": (
        _icd("E31.21", "Multiple endocrine neoplasia [MEN] type I"),
        _sct("30664006", "Multiple endocrine neoplasia, type 1 (disorder)"),
    ),
    "vhl": (
        _icd("Q85.83", "Von Hippel-Lindau syndrome"),
        _sct("46659004", "Von Hippel-Lindau syndrome (disorder)"),
    ),
    "nf1": (_icd("Q85.01", "Neurofibromatosis, type 1"), _sct("92824003", "Neurofibromatosis type 1 (disorder)")),
    "tsc": (_icd("Q85.1", "Tuberous sclerosis"), _sct("7199000", "Tuberous sclerosis syndrome (disorder)")),
}
_SECONDARY: Final[dict[str, tuple[Code | None, Code | None, Code | None]]] = {
    "liver": (
        _icd("C7B.02", "Secondary carcinoid tumors of liver"),
        _sct("94381002", "Metastatic malignant neoplasm to liver (disorder)"),
        _icd("C78.7", "Secondary malignant neoplasm of liver and intrahepatic bile duct"),
    ),
    "bone": (
        _icd("C7B.03", "Secondary carcinoid tumors of bone"),
        _sct("94222008", "Metastatic malignant neoplasm to bone (disorder)"),
        _icd("C79.51", "Secondary malignant neoplasm of bone"),
    ),
    "brain": (
        _icd("C79.31", "Secondary malignant neoplasm of brain"),
        _sct("94225005", "Metastatic malignant neoplasm to brain (disorder)"),
        _icd("C79.31", "Secondary malignant neoplasm of brain"),
    ),
    "lung": (
        _icd("C78.00", "Secondary malignant neoplasm of unspecified lung"),
        _sct("94391008", "Metastatic malignant neoplasm to lung (disorder)"),
        _icd("C78.02", "Secondary malignant neoplasm of left lung"),
    ),
    "peritoneum": (
        _icd("C7B.04", "Secondary carcinoid tumors of peritoneum"),
        _sct("94627008", "Metastatic malignant neoplasm to peritoneum (disorder)"),
        _icd("C78.6", "Secondary malignant neoplasm of retroperitoneum and peritoneum"),
    ),
    "nodes-distant": (
        _icd("C7B.01", "Secondary carcinoid tumors of distant lymph nodes"),
        None,
        _icd("C7B.01", "Secondary carcinoid tumors of distant lymph nodes"),
    ),
}

# --- observations -----------------------------------------------------------------------------------------------------

_HISTOLOGY: Final = _loinc("31206-6", "Behavior ICD-O-3 Cancer")
_MORPHOLOGY: Final = {
    ("well", None): Code(ICDO3, "8240/3", "NET NOS / grade 1 (older: carcinoid tumour NOS)"),
    ("poor", None): Code(ICDO3, "8246/3", "neuroendocrine carcinoma NOS"),
    ("poor", "small"): Code(ICDO3, "8041/3", "small-cell carcinoma"),
    ("poor", "large"): Code(ICDO3, "8013/3", "large-cell NEC"),
    ("mixed", None): Code(ICDO3, "8244/3", "mixed adenoneuroendocrine carcinoma / MiNEN (older: composite carcinoid)"),
}
_ISLET_CELL: Final = Code(ICDO3, "8150/3", "pancreatic endocrine tumour, malignant")
_DUCTAL: Final = Code(ICDO3, "8500/3", "ductal adenocarcinoma")
_MITOSES_UNITS: Final = {
    "per-10-hpf": "{mitoses}/10.[HPF]",
    "per-2-mm2": "{mitoses}/(2.mm2)",
    "per-mm2": "/mm2",
    "per-50-hpf": "{mitoses}/50.[HPF]",
    "per-10-mm2": "{mitoses}/(10.mm2)",
}
_T_SNOMED: Final = {
    "TX": "1222604002",
    "T0": "1228882005",
    "T1": "1228889001",
    "T2": "1228929004",
    "T3": "1228938002",
    "T4": "1228944003",
}
_STAGE_SNOMED: Final = {"IV": "1222837003", "IIIC": "1222806003", "IIB": "1222769001"}
_EDITIONS: Final = {
    "ajcc7": _sct("443830009", "AJCC 7th edition"),
    "ajcc8": _sct("897275008", "AJCC 8th edition"),
    "ajcc9": _sct("1269566009", "AJCC 9th version"),
}
_EGFR_MEASURED: Final = "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum, Plasma or Blood"
_EGFR: Final = (
    _loinc("98979-8", f"{_EGFR_MEASURED} by Creatinine-based formula (CKD-EPI 2021)"),
    _loinc("98980-6", f"{_EGFR_MEASURED} by Creatinine and Cystatin C-based formula (CKD-EPI 2021)"),
    _loinc("62238-1", f"{_EGFR_MEASURED} by Creatinine-based formula (CKD-EPI)"),
)
_DISEASE_STATUS: Final = {
    "stable": "Stable disease",
    "response": "Partial response",
    "progression": "Progressive disease",
    "indeterminate": "Indeterminate",
}

# --- treatment and safety ---------------------------------------------------------------------------------------------

_PROCEDURES: Final = {
    "tace": (
        _sct("314617008", "Chemoembolization of liver metastases (procedure)"),
        _sct("314617008", "Chemoembolization of liver metastases (procedure)"),
        _sct("314617008", "Chemoembolization of liver metastases (procedure)"),
    ),
    "tae": (_local("tae"), _local("tae"), _local("tae")),
    "tare": (_local("tare"), _local("tare"), _local("tare")),
    "ablation": (
        _sct("307626009", "Destruction of liver metastasis (procedure)"),
        _sct("609232008", "Percutaneous microwave ablation of lesion of liver (procedure)"),
        _sct("432226009", "Ablation of lesion of liver using computed tomography guidance (procedure)"),
    ),
    "prrt": (_local("prrt"), _local("prrt"), _local("prrt")),
}
_LU_DOTATATE: Final = _hcpcs("A9513", "Lu-177 dotatate, therapeutic, 1 mCi")
_CAPTEM: Final = (_rxnorm("194000", "capecitabine"), _rxnorm("37776", "temozolomide"))
_DRUGS: Final = {
    "ssa-antiproliferative": (
        (_rxnorm("68092", "lanreotide"),),
        (_rxnorm("7617", "octreotide"),),
        (_hcpcs("J1930", "lanreotide, 1 mg"),),
    ),
    "chemotherapy": (_CAPTEM, _CAPTEM, (_rxnorm("239180", "streptozocin 1000 MG Injection"),)),
    "targeted": (
        (_rxnorm("141704", "everolimus"),),
        (_rxnorm("357977", "sunitinib"),),
        (_rxnorm("141704", "everolimus"),),
    ),
}
_PANCREATECTOMY: Final = (
    _sct("401004", "Distal subtotal pancreatectomy (procedure)"),
    _sct("235468001", "Distal pancreatic tail resection (procedure)"),
    _cpt("48140", "distal pancreatectomy, no pancreas-bowel join"),
)
_ALLERGENS: Final = {
    "gadolinium_allergy": (
        _sct("768763008", "Gadolinium"),
        _rxnorm("1310171", "Gadolinium"),
        _sct("407976008", "Gadobutrol"),
    ),
    "iodinated_allergy": (
        _sct("426722004", "Iodinated contrast media (substance)"),
        _rxnorm("5956", "Iohexol"),
        _sct("109218004", "Iohexol"),
    ),
}
_MR_SAFE: Final = Code(NCIT_OID, "C106045", "Magnetic Resonance Safe")
_MR_CONDITIONAL: Final = Code(NCIT_OID, "C106046", "Magnetic Resonance Conditional")
_MR_UNSAFE: Final = Code(NCIT_OID, "C106047", "Magnetic Resonance Unsafe")
_MR_NOT_SAID: Final = Code(NCIT_OID, "C113844", "Labeling does not contain MRI safety information")

# --- orders -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    """How one ServiceRequest names its study."""

    codings: tuple[Code, ...]
    text: str = ""
    detail: Code | None = None


_Study = tuple[tuple[_Request, ...], tuple[_Request, ...], tuple[_Request, ...]]


def _coded(text: str, *codings: Code) -> _Study:
    """A study with one coding per style, the last one repeated; the middle style goes without text."""
    first, middle, last = (codings[min(style, len(codings) - 1)] for style in STYLES)
    return (_Request((first,), text),), (_Request((middle,)),), (_Request((last,), text),)


def _paired(text: str, joint: Sequence[Code], parts: Sequence[Code]) -> _Study:
    """A study with joint codes, and in the last style one request per part under a shared requisition."""
    whole = _coded(text, *joint)
    return whole[0], whole[1], tuple(_Request((part,), part.display) for part in parts)


def _worded(*texts: str) -> _Study:
    """A study that has no code to order it by: text only."""
    first, middle, last = (texts[min(style, len(texts) - 1)] for style in STYLES)
    return (_Request((), first),), (_Request((), middle),), (_Request((), last),)


_PET_CT: Final = _cpt("78815", "PET/CT, skull base to mid-thigh")
_SSTR_PET: Final = Code(LOCAL, "sstr-pet-ct-skull-base-mid-thigh", "SSTR PET/CT skull base to mid-thigh")
_LIVER_HB: Final = Code(LOCAL, "mri-liver-hepatobiliary-agent", "MRI liver with hepatobiliary contrast agent")
_FDOPA_PET: Final = Code(LOCAL, "fdopa-pet-ct", "F-18 DOPA PET/CT")
_DOTATATE: Final = _hcpcs("A9587", "Ga-68 dotatate, diagnostic, 0.1 mCi")
_FDG: Final = _hcpcs("A9552", "F-18 FDG, diagnostic, per dose")
_FDOPA: Final = _sct("5811000122108", "Fluoro-L-dopa F-18")
_GADOXETATE: Final = _hcpcs("A9581", "gadoxetate disodium, 1 ml")

STUDIES: Final[dict[str, _Study]] = {
    "mri-abd-pel-wwo": _paired(
        "MRI abdomen and pelvis without and with IV contrast",
        (_loinc("97392-5", "MR Abdomen and Pelvis WO and W contrast IV"),),
        (
            _cpt("74183", "MRI abdomen, without then with contrast"),
            _cpt("72197", "MRI pelvis, without then with contrast"),
        ),
    ),
    "mri-abd-pel-wo": _paired(
        "MRI abdomen and pelvis without contrast",
        (
            _loinc("97391-7", "MR Abdomen and Pelvis WO contrast"),
            _sct("414121000119100", "MRI of abdomen and pelvis without contrast"),
        ),
        (_cpt("74181", "MRI abdomen, without contrast"), _cpt("72195", "MRI pelvis, without contrast")),
    ),
    "mri-abd-wwo": _coded(
        "MRI abdomen without and with IV contrast",
        _loinc("24557-1", "MR Abdomen WO and W contrast IV"),
        _loinc("24557-1", "MR Abdomen WO and W contrast IV"),
        _cpt("74183", "MRI abdomen, without then with contrast"),
    ),
    "mri-abd-wo": _coded(
        "MRI abdomen without contrast",
        _loinc("30668-8", "MR Abdomen WO contrast"),
        _sct("394531000119101", "MRI of abdomen without contrast"),
        _cpt("74181", "MRI abdomen, without contrast"),
    ),
    "ct-abd-pel-w": _coded(
        "CT abdomen and pelvis with IV contrast",
        _loinc("36813-4", "CT Abdomen and Pelvis W contrast IV"),
        _sct("1148701004", "CT of abdomen and pelvis with intravenous contrast"),
        _cpt("74177", "CT abdomen+pelvis, with contrast"),
    ),
    "ct-abd-pel-wwo": _coded(
        "CT abdomen and pelvis without and with IV contrast",
        _loinc("42274-1", "CT Abdomen and Pelvis WO and W contrast IV"),
        _loinc("42274-1", "CT Abdomen and Pelvis WO and W contrast IV"),
        _cpt("74178", "CT abdomen+pelvis, without then with contrast in one or both"),
    ),
    "ct-abd-pel-wo": _coded(
        "CT abdomen and pelvis without contrast",
        _loinc("36952-0", "CT Abdomen and Pelvis WO contrast"),
        _sct("16457501000119102", "CT of abdomen and pelvis without contrast"),
        _cpt("74176", "CT abdomen+pelvis, without contrast"),
    ),
    "ct-abd-w": _coded(
        "CT abdomen with IV contrast",
        _loinc("79103-8", "CT Abdomen W contrast IV"),
        _sct("32962002", "CT of abdomen with contrast"),
        _cpt("74160", "CT abdomen, with contrast"),
    ),
    "ct-abd-wo": _coded(
        "CT abdomen without contrast",
        _loinc("36424-0", "CT Abdomen WO contrast"),
        _sct("396101000119105", "CT of abdomen without contrast"),
        _cpt("74150", "CT abdomen, without contrast"),
    ),
    "ct-cap-w": _paired(
        "CT chest, abdomen and pelvis with IV contrast",
        (
            _loinc("72254-6", "CT Chest and Abdomen and Pelvis W contrast IV"),
            _sct("1148700003", "CT of thorax, abdomen and pelvis with intravenous contrast"),
        ),
        (_cpt("71260", "CT chest, with contrast"), _cpt("74177", "CT abdomen+pelvis, with contrast")),
    ),
    "ct-chest-wo": _coded(
        "CT chest without contrast",
        _loinc("29252-4", "CT Chest WO contrast"),
        _sct("395081000119108", "CT of chest without contrast"),
        _cpt("71250", "CT chest, without contrast"),
    ),
    "pet-ct-sstr": (
        (_Request((_SSTR_PET, _PET_CT), "Somatostatin-receptor PET/CT, Ga-68 DOTATATE", _DOTATATE),),
        (_Request((_PET_CT,), detail=_DOTATATE),),
        (_Request((_SSTR_PET, _PET_CT), "Ga-68 DOTATATE PET/CT", _DOTATATE),),
    ),
    "pet-ct-fdg": (
        (
            _Request(
                (_loinc("81554-8", "PET+CT tumor localization, skull base to mid-thigh, W 18F-FDG IV"),), "FDG PET/CT"
            ),
        ),
        (
            _Request(
                (
                    _loinc(
                        "82808-7",
                        "PET+CT tumor localization, skull base to mid-thigh, W 18F-FDG IV and CT without contrast",
                    ),
                )
            ),
        ),
        (_Request((_PET_CT,), "FDG PET/CT", _FDG),),
    ),
    "pet-ct-fdopa": (
        (_Request((_FDOPA_PET, _PET_CT), "F-18 DOPA PET/CT", _FDOPA),),
        (_Request((_FDOPA_PET,)),),
        (_Request((_FDOPA_PET,), "F-18 DOPA PET/CT", _FDOPA),),
    ),
    "srs-octreotide": _coded(
        "Octreoscan, In-111 pentetreotide",
        _loinc("39828-9", "NM whole body for endocrine tumor W In-111 pentetreotide IV"),
        _loinc("81547-2", "SPECT whole body W In-111 pentetreotide IV"),
        _cpt("78804", "NM tumour localisation, whole body, two or more days"),
    ),
    "glp1r-imaging": _worded("GLP-1 receptor PET/CT", "GLP-1R imaging", "Ga-68 exendin-4 PET/CT"),
    "bone-scan": _coded(
        "Bone scintigraphy",
        _loinc("25031-6", "NM Bone Views"),
        _loinc("39818-0", "NM Whole body Bone Views"),
    ),
    "eus": _worded("Endoscopic ultrasound of the pancreas", "Endoscopic ultrasound", "EUS"),
    "us-abd": _coded(
        "Ultrasound abdomen",
        _loinc("24558-9", "US Abdomen"),
        _sct("45036003", "Ultrasonography of abdomen"),
        _cpt("76700", "US abdomen, complete"),
    ),
    "ceus": _coded(
        "Contrast-enhanced ultrasound of the liver",
        _sct("444900008", "Ultrasonography of abdomen with contrast"),
        _sct("444900008", "Ultrasonography of abdomen with contrast"),
        _cpt("76978", "contrast US, first lesion"),
    ),
    "mrcp": _coded(
        "MRCP",
        _loinc("58740-2", "MRCP Abdomen WO contrast"),
        _sct("314635004", "MR cholangiopancreatography"),
        _loinc("37220-1", "MR Biliary ducts and Pancreatic duct"),
    ),
    "mri-liver-hb": (
        (
            _Request(
                (_LIVER_HB, _loinc("30670-4", "MR Liver WO and W contrast IV")),
                "MRI liver with gadoxetate and diffusion",
                _GADOXETATE,
            ),
        ),
        (_Request((_LIVER_HB,)),),
        (_Request((_LIVER_HB,), "MRI liver with hepatobiliary agent", _GADOXETATE),),
    ),
    "mri-spine": _coded(
        "MRI spine",
        _loinc("36400-0", "MR Spine WO and W contrast IV"),
        _sct("241645008", "MRI of spine"),
        _loinc("36531-2", "MR Spine WO contrast"),
    ),
    "mri-whole-body": _coded(
        "Whole-body MRI",
        _loinc("46358-8", "MR Whole body"),
        _loinc("80499-7", "MR Whole body WO and W contrast IV"),
    ),
    "mri-brain": _coded(
        "MRI brain without and with IV contrast",
        _loinc("24587-8", "MR Brain WO and W contrast IV"),
        _loinc("24587-8", "MR Brain WO and W contrast IV"),
        _cpt("70553", "MRI brain, without then with contrast"),
    ),
    "ct-head": _coded(
        "CT head without contrast",
        _loinc("30799-1", "CT Head WO contrast"),
        _sct("383371000119108", "CT of head without contrast"),
        _cpt("70450", "CT head, without contrast"),
    ),
    "ct-enterography": _coded(
        "CT enterography",
        _loinc("72250-4", "CT Small bowel W contrast PO and W contrast IV"),
        _sct("431214001", "CT enteroclysis"),
        _loinc("82689-1", "CT Small bowel W contrast PO and WO and W contrast IV"),
    ),
    "mr-enterography": _coded(
        "MR enterography",
        _loinc("80503-6", "MR Small bowel W contrast PO and WO and W contrast IV"),
        _loinc("80501-0", "MR Small bowel W contrast PO and WO contrast IV"),
        _loinc("72246-2", "MR Abdomen and Pelvis W contrast PO and WO and W contrast IV"),
    ),
    "gastroscopy": _worded("Gastroscopy", "Upper GI endoscopy", "Oesophagogastroduodenoscopy"),
    "mri-pelvis": _coded(
        "MRI pelvis without and with IV contrast",
        _loinc("30674-6", "MR Pelvis WO and W contrast IV"),
        _loinc("30674-6", "MR Pelvis WO and W contrast IV"),
        _cpt("72197", "MRI pelvis, without then with contrast"),
    ),
}
"""Per procedure key and style, the ServiceRequests that order the study."""


def chart(facts: Mapping[str, Any], orders: Sequence[str], *, style: int = 0) -> list[Resource]:
    """The R4 resources of a patient with these facts and these draft orders: the Patient first, the orders last.

    Facts are written as they stand on :data:`AS_OF`, impossible values included. None counts as absent.

    Args:
        facts: plain facts by the names of :data:`cds_service.domain.facts.FACTS`.
        orders: procedure keys; the n-th becomes ``order-n``, a second request of the same study ``order-n-2``.
        style: 0, 1 or 2: which of the equivalent codings is used.

    Raises:
        ValueError: an unknown fact, procedure key or style.
    """
    if unknown := sorted(facts.keys() - FACTS.keys()):
        msg = f"unknown facts: {', '.join(unknown)}"
        raise ValueError(msg)
    if unknown := sorted(set(orders) - STUDIES.keys()):
        msg = f"unknown procedure keys: {', '.join(unknown)}"
        raise ValueError(msg)
    if style not in STYLES:
        msg = f"unknown style: {style}"
        raise ValueError(msg)
    return _Chart(facts, orders, style).build()


class _Chart:
    """One chart in the making. ``left`` holds the facts that are not said yet; a writer takes out what it says."""

    def __init__(self, facts: Mapping[str, Any], orders: Sequence[str], style: int) -> None:
        self.facts: Final = {name: value for name, value in facts.items() if value is not None}
        self.left: Final = dict(self.facts)
        self.orders: Final = orders
        self.style: Final = style
        self.resources: Final[list[Resource]] = []
        self.ids: Final[dict[str, int]] = {}

    def build(self) -> list[Resource]:
        patient = self.patient()
        encounter = self.encounter()
        self.neoplasm()
        self.histology()
        self.syndromes()
        self.proliferation()
        self.tumour_size()
        self.spread()
        self.recorded_stage()
        self.operations()
        self.treatments()
        self.course()
        self.imaging_markers()
        self.laboratory()
        self.pregnancy()
        self.allergies()
        self.implant()
        intent = self.left.pop("order_intent", None) if self.orders else None
        for name in FACTS:
            if name in self.left:
                self.observe_locally(name, self.left[name])
        return [patient, *encounter, *self.resources, *self.service_requests(intent, encounter=bool(encounter))]

    # -- who -----------------------------------------------------------------------------------------------------------

    def patient(self) -> Resource:
        resource: Resource = {"resourceType": "Patient", "id": PATIENT_ID, "active": True}
        if "sex" in self.left:
            resource["gender"] = self.left.pop("sex")
        age = self.left.get("age_years")
        if age is not None and age == int(age):
            del self.left["age_years"]
            resource["birthDate"] = self.birth_date(int(age)).isoformat()
        return resource

    def birth_date(self, age: int) -> dt.date:
        """A birthday some months ago, today, or tomorrow: on AS_OF the completed years are the same."""
        if self.style == 0:
            return dt.date(AS_OF.year - age, 5, 4)
        if self.style == 1:
            return AS_OF.replace(year=AS_OF.year - age)
        return (AS_OF + dt.timedelta(days=1)).replace(year=AS_OF.year - age - 1)

    def encounter(self) -> list[Resource]:
        inpatient = self.left.pop("inpatient", None)
        if inpatient is None:
            return []
        code, display = ("IMP", "inpatient encounter") if inpatient else ("AMB", "ambulatory")
        return [
            {
                "resourceType": "Encounter",
                "id": ENCOUNTER_ID,
                "status": "in-progress",
                "class": {"system": f"{_HL7}/v3-ActCode", "code": code, "display": display},
                "subject": {"reference": _PATIENT},
                "period": {"start": _UNDER_WAY.isoformat() if inpatient else AS_OF.isoformat()},
            }
        ]

    # -- what ----------------------------------------------------------------------------------------------------------

    def neoplasm(self) -> None:
        status = self.facts.get("nen_status")
        if status in {"confirmed", "highly-suspected"}:
            self.neuroendocrine_neoplasm(suspected=status == "highly-suspected")
        elif status == "biochemical-suspicion":
            self.hormone_excess()
        elif status == "other-tumour" and self.facts.get("primary_site") == "pancreas":
            self.take("nen_status", "primary_site")
            self.condition("tumour", _ADENOCARCINOMA[self.style])
            if self.style == 0:
                self.observe("histology", _HISTOLOGY, {"valueCodeableConcept": _concept(_DUCTAL)}, "laboratory")
        elif status == "none":
            self.take("nen_status")
            self.condition("unrelated", (), "Essential hypertension")

    def neuroendocrine_neoplasm(self, *, suspected: bool) -> None:
        site, differentiation = self.facts.get("primary_site"), self.facts.get("differentiation")
        self.take("nen_status")
        codings = _NET_SITE_SAID_APART.get(site or "", _NET_NO_SITE)[self.style]
        if site in _NET_WITH_SITE:
            self.take("primary_site")
            codings = _NET_WITH_SITE[site][self.style]
            if site == "pancreas" and differentiation in _PANCREATIC_CARCINOMA and self.style == 1:
                self.take("differentiation")
                codings = (_PANCREATIC_CARCINOMA[differentiation],)
        elif site == "liver" and differentiation == "poor" and self.style == 1:
            self.take("primary_site", "differentiation")
            codings = (_HEPATIC_CARCINOMA,)
        resource = self.condition("tumour", codings, verification=self.verification() if suspected else "confirmed")
        if self.facts.get("recurrence") == "known" and self.style != 2:
            self.take("recurrence")
            resource["clinicalStatus"] = _hl7("condition-clinical", ("recurrence", "relapse")[self.style])
        year = self.facts.get("diagnosis_year")
        if year is not None and year == int(year) and self.style != 2:
            self.take("diagnosis_year")
            key, value = (("onsetDateTime", f"{year:04.0f}"), ("recordedDate", f"{year:04.0f}-03-02"))[self.style]
            resource[key] = value

    def verification(self) -> str:
        return ("provisional", "differential", "unconfirmed")[self.style]

    def hormone_excess(self) -> None:
        """The syndrome where one is specific enough to be the suspicion; else both facts stay for later."""
        hormone = self.facts.get("functional_syndrome")
        if hormone in _HORMONE_EXCESS:
            self.take("nen_status", "functional_syndrome")
            text = "Zollinger-Ellison syndrome" if hormone == "gastrinoma" else ""
            self.condition("syndrome", _HORMONE_EXCESS[hormone][self.style], text)

    def histology(self) -> None:
        """Morphology of a confirmed tumour; a suspected one would be confirmed by it."""
        differentiation, cells = self.left.get("differentiation"), self.facts.get("nec_cell_type")
        if self.facts.get("nen_status") != "confirmed" or differentiation is None or self.style == 2:
            return
        if self.style == 1 and differentiation == "well" and self.facts.get("primary_site") == "pancreas":
            morphology = _ISLET_CELL
        elif (differentiation, cells) in _MORPHOLOGY and self.style == 0:
            morphology = _MORPHOLOGY[differentiation, cells]
            self.take("nec_cell_type")
        else:
            morphology = _MORPHOLOGY[differentiation, None]
        self.take("differentiation")
        self.observe("histology", _HISTOLOGY, {"valueCodeableConcept": _concept(morphology)}, "laboratory")

    def syndromes(self) -> None:
        hormone, hereditary = self.left.get("functional_syndrome"), self.facts.get("hereditary_syndrome")
        status = self.facts.get("nen_status")
        if status in {"confirmed", "highly-suspected"} and self.style != 2:
            if hormone in _SYNDROME_OF_ANY_SITE:
                self.take("functional_syndrome")
                self.condition("syndrome", (_SYNDROME_OF_ANY_SITE[hormone][self.style],))
            elif hormone in _FUNCTIONING_PANCREATIC and self.facts.get("primary_site") == "pancreas":
                self.take("functional_syndrome")
                self.condition(
                    "functioning-tumour",
                    (_FUNCTIONING_PANCREATIC[hormone][self.style],),
                    verification="confirmed" if status == "confirmed" else self.verification(),
                )
        if hereditary in _HEREDITARY:
            self.take("hereditary_syndrome")
            icd, snomed = _HEREDITARY[hereditary]
            self.condition("hereditary", ((icd,), (snomed,), (snomed, icd))[self.style])

    # -- proliferation -------------------------------------------------------------------------------------------------

    def proliferation(self) -> None:
        percent = self.facts.get("ki67_percent")
        if percent is not None and self.style != 2:
            self.take("ki67_percent")
            fraction = self.style == 1 and percent < 100
            quantity = _quantity(_shift(percent, -2), "1") if fraction else _quantity(percent, "%")
            code = _loinc("29593-1", "Cells.Ki-67 nuclear Ag/cells in Tissue by Immune stain")
            resource = self.observe("ki67", code, {"valueQuantity": quantity}, "laboratory")
            if self.style == 1 and "ki67_specimen" in self.facts:
                specimen = self.facts["ki67_specimen"]
                self.take("ki67_specimen")
                resource["bodySite"] = {"text": "Metastasis" if specimen == "metastasis" else "Primary tumour"}
        if "mitoses" in self.facts and self.style == 0:
            self.mitotic_rate()
        grade = self.facts.get("stated_grade")
        if grade is not None and self.style != 2:
            self.take("stated_grade")
            if self.style == 1 and grade != "NEC":
                code = _loinc("33732-9", "Histology grade [Identifier] in Cancer specimen")
                self.observe("grade", code, {"valueString": grade}, "laboratory")
            else:
                self.observe("grade", _local("who-net-grade"), {"valueCodeableConcept": _concept(_local_word(grade))})

    def mitotic_rate(self) -> None:
        """The count under its older name, with the counted area as its unit; an area not known is not written."""
        area = self.facts.get("mitoses_unit")
        self.take("mitoses", "mitoses_unit")
        quantity = _quantity(self.facts["mitoses"], "1" if area is None else _MITOSES_UNITS[area])
        self.observe("mitoses", _local("mitotic-rate"), {"valueQuantity": quantity})

    # -- extent --------------------------------------------------------------------------------------------------------

    def tumour_size(self) -> None:
        """Size from before any treatment: then it is the newest both of all and of those that stage."""
        size = self.left.pop("size_mm", None)
        if size is None:
            return
        measured = AS_OF - dt.timedelta(days=20)
        if self.facts.get("prior_treatments") or self.facts.get("current_treatments"):
            measured = _TREATED - dt.timedelta(days=30)
        if (months := self.facts.get("months_since_resection")) is not None:
            measured = min(measured, _months_ago(months) - dt.timedelta(days=20))
        largest = _loinc("33728-7", "Size.maximum dimension in Tumor")
        quantity = _quantity(_shift(size, -1), "cm") if self.style == 1 else _quantity(size, "mm")
        value: Resource = {"valueQuantity": quantity}
        if self.style == 0:
            value = {"component": [{"code": _concept(largest), **value}]}
        code = largest if self.style == 2 else _loinc("21889-1", "Size Tumor")
        category = "laboratory" if self.style == 1 else "imaging"
        self.observe("tumour-size", code, value, category, effective=measured)

    def spread(self) -> None:
        nodes, sites = self.facts.get("nodes"), self.facts.get("metastases")
        if nodes == "positive":
            self.positive_nodes()
        elif nodes == "negative" and self.style != 2:
            self.take("nodes")
            code = (
                _sct("399534004", "cN category"),
                _loinc("21906-3", "Regional lymph nodes.clinical"),
            )[self.style]
            value = _concept(_sct("1229967007", "cN0")) if self.style == 0 else {"text": "cN0"}
            self.observe("n-category", code, {"valueCodeableConcept": value})
        if sites is None:
            return
        codes = [_SECONDARY[site][self.style] if site in _SECONDARY else None for site in sites]
        if sites and all(codes):
            self.take("metastases")
            for code in filter(None, codes):
                self.condition("secondary", (code,))
        elif not sites and self.style != 0:
            self.take("metastases")
            code = (
                _sct("399387003", "cM category")
                if self.style == 1
                else _loinc("21907-1", "Distant metastases.clinical")
            )
            value = _concept(_sct("1229901006", "cM0")) if self.style == 1 else {"text": "cM0"}
            self.observe("m-category", code, {"valueCodeableConcept": value})

    def positive_nodes(self) -> None:
        """cN1 only where a positive node cannot be more than N1; else the finding itself."""
        self.take("nodes")
        simple = not {"nodes_positive_count", "mesenteric_mass_mm"} & self.facts.keys()
        if self.style == 0 and simple and self.facts.get("differentiation") == "well":
            value = _concept(_sct("1229973008", "cN1"))
            self.observe("n-category", _sct("399534004", "cN category"), {"valueCodeableConcept": value})
        elif self.style == 2:
            code = _icd("C77.2", "Secondary and unspecified malignant neoplasm of intra-abdominal lymph nodes")
            self.condition("nodes", (code,))
        else:
            self.condition("nodes", (_sct("399374009", "Regional lymph node metastasis present (finding)"),))

    def recorded_stage(self) -> None:
        category, stage = self.facts.get("recorded_t"), self.facts.get("recorded_stage")
        if self.style == 2 or (category is None and stage is None):
            return
        self.take("recorded_t", "recorded_stage", "recorded_edition")
        edition = self.facts.get("recorded_edition")
        method = {}
        if edition is not None:
            method = {"method": _concept(_EDITIONS[edition]) if edition in _EDITIONS else {"text": "ENETS"}}
        if category is not None:
            code = (_sct("399504009", "cT category"), _loinc("21905-5", "Primary tumor.clinical"))[self.style]
            value = _tnm_value(f"c{category}", _T_SNOMED.get(category) if self.style == 0 else None)
            self.observe("t-category", code, {"valueCodeableConcept": value, **method})
        if stage is not None:
            code = (_sct("399537006", "Clinical TNM stage grouping"), _loinc("21908-9", "Stage group.clinical"))[
                self.style
            ]
            value = _tnm_value(f"Stage {stage}", _STAGE_SNOMED.get(stage) if self.style == 0 else None)
            self.observe("stage-group", code, {"valueCodeableConcept": value, **method})

    # -- treatment -----------------------------------------------------------------------------------------------------

    def operations(self) -> None:
        """Dated operations. The exact number of months is stated besides, as a whole day would blur it."""
        months = self.facts.get("months_since_resection")
        if self.facts.get("curative_resection") and self.facts.get("primary_site") == "pancreas" and months is not None:
            self.take("curative_resection")
            self.procedure("resection", _PANCREATECTOMY[self.style], performed=_months_ago(months))
        if self.facts.get("bilioenteric_anastomosis") and self.style == 1:
            self.take("bilioenteric_anastomosis")
            code = _sct("301704008", "Roux-en-Y hepaticojejunostomy (procedure)")
            self.procedure("anastomosis", code, performed=AS_OF - dt.timedelta(days=700))
        if self.facts.get("liver_surgery_planned") and self.style == 1:
            self.take("liver_surgery_planned")
            self.procedure("liver-surgery", _sct("71273005", "Partial hepatectomy (procedure)"), status="preparation")

    def treatments(self) -> None:
        """Resources where every treatment of the list has a concept; else the whole list stays one statement."""
        prior, current = self.facts.get("prior_treatments"), self.facts.get("current_treatments")
        if prior and all(name in _PROCEDURES or name in _DRUGS for name in prior):
            self.take("prior_treatments")
            for name in prior:
                self.treatment(name, current=False)
        if current and all(name == "prrt" or name in _DRUGS for name in current):
            self.take("current_treatments")
            for name in current:
                self.treatment(name, current=True)
        if self.facts.get("metformin"):
            self.take("metformin")
            self.medication("metformin", _rxnorm("6809", "Metformin"), current=True)

    def treatment(self, name: str, *, current: bool) -> None:
        if name in _DRUGS:
            for code in _DRUGS[name][self.style]:
                self.medication(name, code, current=current)
        elif name == "prrt" and self.style == 1:
            self.add(
                "MedicationAdministration",
                name,
                status="in-progress" if current else "completed",
                medicationCodeableConcept=_concept(_LU_DOTATATE),
                subject={"reference": _PATIENT},
                effectiveDateTime=(_UNDER_WAY if current else _TREATED).isoformat(),
            )
        elif current:
            self.procedure(name, _PROCEDURES[name][self.style], status="in-progress", performed=_UNDER_WAY)
        else:
            self.procedure(name, _PROCEDURES[name][self.style], performed=_TREATED)

    # -- course, markers, laboratory -----------------------------------------------------------------------------------

    def course(self) -> None:
        result = self.facts.get("last_imaging_result")
        if result in _DISEASE_STATUS and self.style != 2:
            self.take("last_imaging_result")
            value = {**_concept(_local_word(result)), "text": _DISEASE_STATUS[result]}
            seen = _months_ago(self.facts.get("months_since_last_imaging", 1))
            code = _loinc("97509-4", "Cancer Disease Progression")
            self.observe("disease-status", code, {"valueCodeableConcept": value}, effective=seen)
        if "disease_dominance" in self.facts and self.style == 1:
            self.take("disease_dominance")
            value = {"valueBoolean": self.facts["disease_dominance"] == "liver"}
            self.observe("dominance", _local("liver-dominant-disease"), value)

    def imaging_markers(self) -> None:
        if "krenning" in self.facts and self.style == 1:
            self.take("krenning")
            value = {"valueQuantity": _quantity(self.facts["krenning"], "{score}")}
            self.observe("krenning", _local("krenning-score"), value, "imaging")
        if "sstr_imaging_result" in self.facts and self.style == 1:
            self.take("sstr_imaging_result")
            value = {"valueCodeableConcept": _concept(_local_word(self.facts["sstr_imaging_result"]))}
            self.observe("sstr-status", _local("sstr-status"), value, "imaging")
        adc = self.facts.get("adc_mm2_per_s")
        if adc is not None and self.style != 2:
            self.take("adc_mm2_per_s")
            small = self.style == 1 and adc < 1
            quantity = _quantity(_shift(adc, 6), "um2/s") if small else _quantity(adc, "mm2/s")
            code = Code(DICOM, "113041", "Apparent Diffusion Coefficient")
            self.observe("adc", code, {"valueQuantity": quantity}, "imaging")

    def laboratory(self) -> None:
        if "egfr" in self.facts:
            self.take("egfr")
            code = _EGFR[self.style]
            quantity = _quantity(self.facts["egfr"], "mL/min/{1.73_m2}")
            self.observe("egfr", code, {"valueQuantity": quantity}, "laboratory", effective=_RECENT)
        if "alp_elevated" in self.facts and self.style != 2:
            self.take("alp_elevated")
            high = self.facts["alp_elevated"]
            value: Resource = {
                "valueQuantity": _quantity(212 if high else 74, "U/L"),
                "referenceRange": [{"low": _quantity(35, "U/L"), "high": _quantity(120, "U/L")}],
            }
            if high and self.style == 1:
                value["interpretation"] = [_hl7("v3-ObservationInterpretation", "H")]
            code = _loinc("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] Ser/Plas")
            self.observe("alp", code, value, "laboratory", effective=_RECENT)
        if self.facts.get("biochemical_rise") and self.style == 1:
            self.take("biochemical_rise")
            code = _loinc("9811-1", "Chromogranin A [Mass/volume] Ser/Plas")
            for amount, day in ((88, _RECENT - dt.timedelta(days=180)), (264, _RECENT)):
                value = {
                    "valueQuantity": _quantity(amount, "ng/mL"),
                    "referenceRange": [{"high": _quantity(102, "ng/mL")}],
                }
                self.observe("chromogranin-a", code, value, "laboratory", effective=day)

    # -- safety --------------------------------------------------------------------------------------------------------

    def pregnancy(self) -> None:
        pregnant = self.left.pop("pregnant", None)
        if pregnant is not None:
            answer = (
                _loinc("LA15173-0" if pregnant else "LA26683-5", "Pregnant" if pregnant else "Not pregnant")
                if self.style == 1
                else _sct("77386006", "Pregnancy (finding)")
                if pregnant
                else _sct("60001007", "Not pregnant (finding)")
            )
            code = _loinc("82810-3", "Pregnancy status")
            value = {"valueCodeableConcept": _concept(answer)}
            self.observe("pregnancy", code, value, "social-history", effective=AS_OF - dt.timedelta(days=3))
        if self.facts.get("dialysis") and self.style == 0:
            self.take("dialysis")
            self.condition("dialysis", (_sct("236435004", "End stage renal failure on dialysis (disorder)"),))

    def allergies(self) -> None:
        """Severity by the reaction, by criticality, or (a mild one) by nothing at all."""
        for fact, substances in _ALLERGENS.items():
            severity = self.facts.get(fact)
            if severity in {None, "none"}:
                continue
            self.take(fact)
            resource = self.add(
                "AllergyIntolerance",
                fact.replace("_", "-"),
                clinicalStatus=_hl7("allergyintolerance-clinical", "active"),
                verificationStatus=_hl7("allergyintolerance-verification", "confirmed"),
                type="allergy",
                category=["medication"],
                code=_concept(substances[self.style]),
                patient={"reference": _PATIENT},
            )
            manifestation = [{"text": "Anaphylaxis" if severity == "severe" else "Urticaria"}]
            if self.style == 1:
                resource["criticality"] = "high" if severity == "severe" else "low"
            elif self.style == 0 or severity == "severe":
                resource["reaction"] = [{"manifestation": manifestation, "severity": severity}]

    def implant(self) -> None:
        implant = self.facts.get("implant")
        if implant == "non-mr-conditional" and self.style == 2:
            self.take("implant")
            self.observe("mri-contraindicated", _local("mri-contraindicated"), {"valueBoolean": True})
        elif implant is not None and not (implant == "none" and self.style != 1):
            self.take("implant")
            flag = {
                "none": _MR_SAFE,
                "mr-conditional": _MR_CONDITIONAL,
                "non-mr-conditional": _MR_UNSAFE,
                "unknown": _MR_NOT_SAID if self.style == 1 else None,
            }[implant]
            resource = self.add(
                "Device",
                "implant",
                status="active",
                type=_concept(_sct("14106009", "Cardiac pacemaker, device")),
                patient={"reference": _PATIENT},
            )
            if flag is not None:
                resource["safety"] = [_concept(flag)]

    # -- orders --------------------------------------------------------------------------------------------------------

    def service_requests(self, intent: str | None, *, encounter: bool) -> list[Resource]:
        found = []
        for number, key in enumerate(self.orders, start=1):
            parts = STUDIES[key][self.style]
            for place, part in enumerate(parts, start=1):
                resource: Resource = {
                    "resourceType": "ServiceRequest",
                    "id": f"order-{number}" if place == 1 else f"order-{number}-{place}",
                    "status": "draft",
                    "intent": "order",
                    "code": {**_concept(*part.codings), **({"text": part.text} if part.text else {})},
                    "subject": {"reference": _PATIENT},
                    "authoredOn": AS_OF.isoformat(),
                    "requester": {"reference": USER},
                }
                if part.detail is not None:
                    resource["orderDetail"] = [_concept(part.detail)]
                if len(parts) > 1:
                    resource["requisition"] = {"system": _REQUISITIONS, "value": f"req-{number}"}
                if intent is not None:
                    resource["reasonCode"] = [_concept(_local_word(intent))]
                if encounter:
                    resource["encounter"] = {"reference": f"Encounter/{ENCOUNTER_ID}"}
                found.append(resource)
        return found

    # -- resources -----------------------------------------------------------------------------------------------------

    def take(self, *names: str) -> None:
        """Mark facts as said."""
        for name in names:
            self.left.pop(name, None)

    def add(self, kind: str, label: str, **members: Any) -> Resource:
        """A new resource of the chart; its id is the label, numbered from the second use on."""
        used = self.ids[label] = self.ids.get(label, 0) + 1
        resource = {"resourceType": kind, "id": label if used == 1 else f"{label}-{used}", **members}
        self.resources.append(resource)
        return resource

    def condition(
        self, label: str, codings: Sequence[Code], text: str = "", *, verification: str = "confirmed"
    ) -> Resource:
        return self.add(
            "Condition",
            label,
            clinicalStatus=_hl7("condition-clinical", "active"),
            verificationStatus=_hl7("condition-ver-status", verification),
            category=[_hl7("condition-category", "problem-list-item")],
            code={**_concept(*codings), **({"text": text} if text else {})},
            subject={"reference": _PATIENT},
        )

    def observe(
        self, label: str, code: Code, value: Mapping[str, Any], category: str = "exam", *, effective: dt.date = AS_OF
    ) -> Resource:
        return self.add(
            "Observation",
            label,
            status="final",
            category=[_hl7("observation-category", category)],
            code=_concept(code),
            subject={"reference": _PATIENT},
            effectiveDateTime=effective.isoformat(),
            **value,
        )

    def observe_locally(self, name: str, value: Any) -> None:
        """The project-local Observation of a fact, as of AS_OF."""
        spec = FACTS[name]
        said: Resource
        if spec.kind is Kind.FLAG:
            said = {"valueBoolean": value}
        elif spec.kind is Kind.NUMBER:
            said = {"valueQuantity": _quantity(value, spec.unit)}
        elif spec.kind is Kind.WORD:
            said = {"valueCodeableConcept": _concept(_local_word(value))}
        elif spec.kind is Kind.WORDS and not value:
            said = {"valueCodeableConcept": _concept(_local_word("none"))}
        elif spec.kind is Kind.WORDS:
            code = _concept(_local(spec.code))
            said = {
                "component": [{"code": code, "valueCodeableConcept": _concept(_local_word(word))} for word in value]
            }
        else:
            parts = (("d1-mm", "mm"), ("d2-mm", "mm"), ("months", "mo"))
            said = {
                "component": [
                    {"code": _concept(_local(part)), "valueQuantity": _quantity(value[part.replace("-", "_")], unit)}
                    for part, unit in parts
                ]
            }
        self.observe(f"fact-{spec.code}", _local(spec.code), said)

    def procedure(
        self, label: str, code: Code, *, status: str = "completed", performed: dt.date | None = None
    ) -> Resource:
        when = {} if performed is None else {"performedDateTime": performed.isoformat()}
        return self.add("Procedure", label, status=status, code=_concept(code), subject={"reference": _PATIENT}, **when)

    def medication(self, label: str, code: Code, *, current: bool) -> Resource:
        start = _TREATED.isoformat()
        period = (
            {"start": start} if current else {"start": start, "end": (_TREATED + dt.timedelta(days=120)).isoformat()}
        )
        return self.add(
            "MedicationStatement",
            label,
            status="active" if current else "completed",
            medicationCodeableConcept=_concept(code),
            subject={"reference": _PATIENT},
            effectivePeriod=period,
        )


def _concept(*codings: Code) -> Resource:
    """A CodeableConcept; without codings an empty one, for a text to be put in."""
    return {"coding": [coding._asdict() for coding in codings]} if codings else {}


def _hl7(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


def _local_word(word: str) -> Code:
    return Code(LOCAL, word, word)


def _tnm_value(text: str, snomed: str | None) -> Resource:
    return {**(_concept(_sct(snomed, text)) if snomed else {}), "text": text}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _shift(value: float, places: int) -> float:
    """The value times a power of ten, as it would be written by hand: 2.9 and -2 give 0.029."""
    return float(Decimal(str(value)).scaleb(places))


def _months_ago(months: float) -> dt.date:
    """The day that lies the given number of months before AS_OF, to the nearest whole day."""
    return AS_OF - dt.timedelta(days=round(months * _DAYS_PER_MONTH))


# --- hook requests ----------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r"\{\{\s*([^}]*?)\s*\}\}")
_READ: Final = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]+)")
_SEARCH: Final = re.compile(r"([A-Z][A-Za-z]+)\?(.*)")


def hook_request(
    resources: Sequence[Resource],
    orders_hook: str,
    *,
    hook_instance: str = "6f2b1c1e-8a0f-4a52-9d2e-0c1f5a7b3d90",
    selections: Sequence[str] | None = None,
    keys: Mapping[str, str],
) -> dict[str, Any]:
    """The CDS Hooks 2.0 request body with which an EHR would ask about the draft orders of a chart.

    The draft ServiceRequests travel in the context and nowhere else. Prefetch holds, per key, the resource of a read
    template (null when the chart has none) or the searchset Bundle of a search template; of the search parameters only
    ``category`` narrows the result.

    Args:
        resources: a chart as made by :func:`chart`.
        orders_hook: ``order-select`` or ``order-sign``.
        hook_instance: the call's UUID.
        selections: references of the selected drafts, for ``order-select`` only; all drafts when None.
        keys: prefetch templates as in discovery.

    Raises:
        ValueError: another hook, selections for a hook that has none, or a template that is neither read nor search.
    """
    if orders_hook not in {"order-select", "order-sign"}:
        msg = f"not a hook about draft orders: {orders_hook}"
        raise ValueError(msg)
    drafts = [resource for resource in resources if _is_draft(resource)]
    kept = [resource for resource in resources if not _is_draft(resource)]
    context: dict[str, Any] = {"userId": USER, "patientId": PATIENT_ID}
    if any(resource["resourceType"] == "Encounter" for resource in kept):
        context["encounterId"] = ENCOUNTER_ID
    if orders_hook == "order-select":
        chosen = [f"ServiceRequest/{draft['id']}" for draft in drafts] if selections is None else list(selections)
        context["selections"] = chosen
    elif selections is not None:
        msg = f"{orders_hook} has no selections"
        raise ValueError(msg)
    context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", **_entries(drafts)}
    request = {
        "hook": orders_hook,
        "hookInstance": hook_instance,
        "context": context,
        "prefetch": {key: _prefetched(template, kept, context) for key, template in keys.items()},
    }
    return copy.deepcopy(request)


def _is_draft(resource: Resource) -> bool:
    return bool(resource["resourceType"] == "ServiceRequest" and resource["status"] == "draft")


def _entries(resources: Iterable[Resource], **more: Any) -> Resource:
    entries = [
        {"fullUrl": f"{_FHIR_BASE}/{resource['resourceType']}/{resource['id']}", "resource": resource, **more}
        for resource in resources
    ]
    return {"entry": entries} if entries else {}


def _prefetched(template: str, resources: Sequence[Resource], context: Mapping[str, Any]) -> Resource | None:
    values = {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    values["userPractitionerId"] = USER.partition("/")[2]
    if search := _SEARCH.fullmatch(template):
        kind, query = search.groups()
        found = [resource for resource in resources if resource["resourceType"] == kind]
        for name, value in parse_qsl(query):
            if name == "category":
                found = [resource for resource in found if _in_category(resource, value.split(","))]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        return {**bundle, **_entries(found, search={"mode": "match"})}
    read = _TOKEN.sub(lambda token: values.get(token[1], "-"), template)
    if match := _READ.fullmatch(read):
        named = [resource for resource in resources if (resource["resourceType"], resource["id"]) == match.groups()]
        return named[0] if named else None
    msg = f"neither a read nor a search: {template}"
    raise ValueError(msg)


def _in_category(resource: Resource, tokens: Iterable[str]) -> bool:
    """Whether a category of the resource is one of the tokens: ``code``, ``system|code`` or ``|code``."""
    held = resource.get("category", [])
    codings = [
        coding
        for category in (held if isinstance(held, list) else [held])
        for coding in ([{"code": category}] if isinstance(category, str) else category.get("coding", []))
    ]
    for token in tokens:
        system, bar, code = token.rpartition("|")
        for coding in codings:
            if coding.get("code") == code and (not bar or coding.get("system", "") == system):
                return True
    return False
