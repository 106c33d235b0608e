"""Regions: China's 34 provincial units by every name, other countries by their ISO codes."""

import pycountry
import pytest
from pydantic_core import PydanticCustomError

from incident_engine.domain.events.fields import resolve_region
from incident_engine.domain.regions import PROVINCES, region_name

# ISO 3166-2:CN (2017 and later), GB/T 2260, long and short Chinese name, English name: written from the standards.
UNITS = [
    ("CN-BJ", "110000", "北京市", "北京", "Beijing"),
    ("CN-TJ", "120000", "天津市", "天津", "Tianjin"),
    ("CN-HE", "130000", "河北省", "河北", "Hebei"),
    ("CN-SX", "140000", "山西省", "山西", "Shanxi"),
    ("CN-NM", "150000", "内蒙古自治区", "内蒙古", "Inner Mongolia"),
    ("CN-LN", "210000", "辽宁省", "辽宁", "Liaoning"),
    ("CN-JL", "220000", "吉林省", "吉林", "Jilin"),
    ("CN-HL", "230000", "黑龙江省", "黑龙江", "Heilongjiang"),
    ("CN-SH", "310000", "上海市", "上海", "Shanghai"),
    ("CN-JS", "320000", "江苏省", "江苏", "Jiangsu"),
    ("CN-ZJ", "330000", "浙江省", "浙江", "Zhejiang"),
    ("CN-AH", "340000", "安徽省", "安徽", "Anhui"),
    ("CN-FJ", "350000", "福建省", "福建", "Fujian"),
    ("CN-JX", "360000", "江西省", "江西", "Jiangxi"),
    ("CN-SD", "370000", "山东省", "山东", "Shandong"),
    ("CN-HA", "410000", "河南省", "河南", "Henan"),
    ("CN-HB", "420000", "湖北省", "湖北", "Hubei"),
    ("CN-HN", "430000", "湖南省", "湖南", "Hunan"),
    ("CN-GD", "440000", "广东省", "广东", "Guangdong"),
    ("CN-GX", "450000", "广西壮族自治区", "广西", "Guangxi"),
    ("CN-HI", "460000", "海南省", "海南", "Hainan"),
    ("CN-CQ", "500000", "重庆市", "重庆", "Chongqing"),
    ("CN-SC", "510000", "四川省", "四川", "Sichuan"),
    ("CN-GZ", "520000", "贵州省", "贵州", "Guizhou"),
    ("CN-YN", "530000", "云南省", "云南", "Yunnan"),
    ("CN-XZ", "540000", "西藏自治区", "西藏", "Tibet"),
    ("CN-SN", "610000", "陕西省", "陕西", "Shaanxi"),
    ("CN-GS", "620000", "甘肃省", "甘肃", "Gansu"),
    ("CN-QH", "630000", "青海省", "青海", "Qinghai"),
    ("CN-NX", "640000", "宁夏回族自治区", "宁夏", "Ningxia"),
    ("CN-XJ", "650000", "新疆维吾尔自治区", "新疆", "Xinjiang"),
    ("CN-TW", "710000", "台湾省", "台湾", "Taiwan"),
    ("CN-HK", "810000", "香港特别行政区", "香港", "Hong Kong"),
    ("CN-MO", "820000", "澳门特别行政区", "澳门", "Macao"),
]


def refusal(name: str) -> PydanticCustomError:
    with pytest.raises(PydanticCustomError) as caught:
        resolve_region(name)
    return caught.value


def context(name: str) -> dict[str, str]:
    return refusal(name).context or {}


@pytest.mark.parametrize("unit", UNITS, ids=[unit[0] for unit in UNITS])
def test_a_province_is_known_by_code_adcode_and_every_name(unit: tuple[str, ...]) -> None:
    assert {resolve_region(name) for name in unit} == {unit[0]}


@pytest.mark.parametrize("unit", UNITS, ids=[unit[0] for unit in UNITS])
def test_a_province_is_called_by_its_short_name_in_the_readers_language(unit: tuple[str, ...]) -> None:
    assert region_name(unit[0], "zh-CN") == unit[3]
    assert region_name(unit[0], "en") == unit[4]


def test_there_are_thirty_four_provincial_units_as_in_iso_3166_2() -> None:
    iso = {subdivision.code for subdivision in pycountry.subdivisions if subdivision.country_code == "CN"}
    assert {province.code for province in PROVINCES} == iso
    assert len(PROVINCES) == len(UNITS) == 34


@pytest.mark.parametrize(
    ("adcode", "province"),
    [
        ("440300", "CN-GD"),  # Shenzhen
        ("440305", "CN-GD"),  # Shenzhen's Nanshan district
        ("430100", "CN-HN"),  # Changsha
        ("430121", "CN-HN"),  # Changsha county
        ("110101", "CN-BJ"),  # Beijing's Dongcheng district
        ("659001", "CN-XJ"),  # Shihezi, a city right under the region
        ("610100", "CN-SN"),  # Xi'an: Shaanxi, not Shanxi
        ("140100", "CN-SX"),  # Taiyuan: Shanxi, not Shaanxi
    ],
)
def test_the_adcode_of_a_city_or_county_resolves_to_its_province(adcode: str, province: str) -> None:
    assert resolve_region(adcode) == province


@pytest.mark.parametrize("name", ["cn-gd", " CN-GD ", "GUANGDONG", "guangdong", "广东 "])
def test_case_and_outer_spaces_do_not_matter(name: str) -> None:
    assert resolve_region(name) == "CN-GD"


# Countries whose code is also what follows CN- in a province's.
COUNTRIES = {country.alpha_2 for country in pycountry.countries}
AMBIGUOUS = {code[3:] for code, *_ in UNITS} & COUNTRIES - {"HK", "MO", "TW"}


def test_every_other_country_of_iso_3166_1_is_accepted_as_it_is() -> None:
    others = COUNTRIES - AMBIGUOUS - {"CN", "HK", "MO", "TW"}
    assert {resolve_region(code) for code in others} == others


@pytest.mark.parametrize("code", sorted(AMBIGUOUS))
def test_a_bare_code_that_is_both_a_province_and_a_country_is_refused(code: str) -> None:
    assert refusal(code).message() == f"'{code}' is ambiguous: a province of China or the country of this code"
    assert context(code)["expected"].startswith(f"CN-{code}, or ")
    assert resolve_region(f"CN-{code}") == f"CN-{code}"
    assert resolve_region(f"{code}-01") == f"{code}-01"


def test_grenada_and_honduras_are_among_the_ambiguous_codes() -> None:
    assert {"GD", "HN"} <= AMBIGUOUS  # CN-GD is Guangdong, CN-HN Hunan


def test_no_country_is_accepted_that_iso_3166_1_does_not_have() -> None:
    letters = [chr(ord("A") + place) for place in range(26)]
    accepted = set()
    for code in (a + b for a in letters for b in letters):
        try:
            accepted.add(resolve_region(code))
        except PydanticCustomError:
            continue
    assert accepted == COUNTRIES - AMBIGUOUS - {"CN", "HK", "MO", "TW"} | {"CN-HK", "CN-MO", "CN-TW"}


@pytest.mark.parametrize(("name", "code"), [("DE-HE", "DE-HE"), ("de-he", "DE-HE"), ("US-NY", "US-NY"), ("sg", "SG")])
def test_other_countries_subdivisions_are_accepted_as_they_are(name: str, code: str) -> None:
    assert resolve_region(name) == code


@pytest.mark.parametrize(("name", "code"), [("HK", "CN-HK"), ("MO", "CN-MO"), ("TW", "CN-TW"), ("tw", "CN-TW")])
def test_hong_kong_macao_and_taiwan_are_provincial_units_also_by_their_country_codes(name: str, code: str) -> None:
    assert resolve_region(name) == code


@pytest.mark.parametrize("name", ["CN", "cn", " cn "])
def test_the_whole_country_is_refused_and_its_provinces_are_asked_for(name: str) -> None:
    error = refusal(name)
    assert error.type == "invalid"
    assert error.message() == "'CN' is the whole country"
    assert "one by one" in context(name)["expected"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Gungdong", "Guangdong"),
        ("guandong", "Guangdong"),
        ("Hongkong", "Hong Kong"),
        ("Shangxi", "Shanxi"),
        ("CN-GDD", "CN-GD"),
        ("广冻省", "广东省"),
        ("广冬", "广东"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name: str, nearest: str) -> None:
    error = refusal(name)
    assert error.message() == f"unknown region '{name}'"
    assert context(name)["nearest"] == nearest
    assert "adcode" in context(name)["expected"]


@pytest.mark.parametrize("name", ["XX", "CN-44", "ZZ-1", "HK-1", "DE-TOOLONG", "", "44030", "4403000"])
def test_what_is_no_region_is_refused(name: str) -> None:
    assert refusal(name).type == "unknown_name"


@pytest.mark.parametrize("adcode", ["000000", "990000", "160100"])
def test_an_adcode_of_no_province_is_refused_with_the_prefixes_that_exist(adcode: str) -> None:
    assert refusal(adcode).message() == f"unknown adcode '{adcode}'"
    assert context(adcode)["expected"].startswith("6 digits that begin with one of 11, 12, 13")


def test_a_region_outside_china_is_called_by_its_code() -> None:
    assert region_name("DE-HE", "zh-CN") == region_name("DE-HE", "en") == "DE-HE"
