"""Regions: China's 34 provincial units by every name, other countries by their ISO codes."""

import pycountry
import pytest
from pydantic_core import PydanticCustomError

from incident_engine.common.validation import nearest_valid
from incident_engine.domain.cities import CITIES
from incident_engine.domain.events.region_names import resolve_region, resolve_regions
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
    assert nearest_valid(context(name)) == nearest
    assert "adcode" in context(name)["expected"]


@pytest.mark.parametrize("name", ["XX", "CN-99", "ZZ-1", "HK-1", "DE-TOOLONG", "", "44", "44030", "4403000"])
def test_what_is_no_region_is_refused(name: str) -> None:
    assert refusal(name).type == "unknown_name"


@pytest.mark.parametrize("adcode", ["000000", "990000", "160100"])
def test_an_adcode_of_no_province_is_refused_with_the_prefixes_that_exist(adcode: str) -> None:
    assert refusal(adcode).message() == f"unknown adcode '{adcode}'"
    assert context(adcode)["expected"].startswith("6 digits that begin with one of 11, 12, 13")


def test_a_region_outside_china_is_called_by_its_code() -> None:
    assert region_name("DE-HE", "zh-CN") == region_name("DE-HE", "en") == "DE-HE"


# Cities


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("深圳", "CN-GD"),
        ("深圳市", "CN-GD"),
        ("Shenzhen", "CN-GD"),
        ("shenzhen city", "CN-GD"),
        ("广州市", "CN-GD"),
        ("广东省深圳市", "CN-GD"),
        ("广东深圳", "CN-GD"),
        ("大连", "CN-LN"),
        ("西安", "CN-SN"),
        ("Xi'an", "CN-SN"),
        ("xian", "CN-SN"),
        ("长治", "CN-SX"),
        ("Changzhi", "CN-SX"),
        ("大兴安岭地区", "CN-HL"),
        ("锡林郭勒盟", "CN-NM"),
        ("延边朝鲜族自治州", "CN-JL"),
        ("延边州", "CN-JL"),
        ("延边", "CN-JL"),
        ("Urumqi", "CN-XJ"),
        ("Wulumuqi", "CN-XJ"),
        ("济源市", "CN-HA"),  # a county that its province governs
        ("襄樊", "CN-HB"),  # Xiangyang since 2010
        ("苏州", "CN-JS"),
        ("宿州", "CN-AH"),
        ("朝阳市", "CN-LN"),
        ("吉林市", "CN-JL"),
        ("吉林", "CN-JL"),  # a province and a city of it
        ("海南", "CN-HI"),  # the province; the prefecture in Qinghai has a name of its own:
        ("海南州", "CN-QH"),
        ("海南藏族自治州", "CN-QH"),
    ],
)
def test_a_city_resolves_to_its_province(name: str, code: str) -> None:
    assert resolve_region(name) == code


@pytest.mark.parametrize(
    ("name", "cities", "codes"),
    [
        ("Suzhou", ("苏州市 (江苏 Jiangsu)", "宿州市 (安徽 Anhui)"), ("CN-JS", "CN-AH")),
        ("Taizhou", ("泰州市 (江苏 Jiangsu)", "台州市 (浙江 Zhejiang)"), ("CN-JS", "CN-ZJ")),
        ("Yichun", ("伊春市 (黑龙江 Heilongjiang)", "宜春市 (江西 Jiangxi)"), ("CN-HL", "CN-JX")),
        ("fuzhou", ("福州市 (福建 Fujian)", "抚州市 (江西 Jiangxi)"), ("CN-FJ", "CN-JX")),
        ("Yulin", ("玉林市 (广西 Guangxi)", "榆林市 (陕西 Shaanxi)"), ("CN-GX", "CN-SN")),
        ("朝阳", ("朝阳市 (辽宁 Liaoning)", "朝阳区 (北京 Beijing)"), ("CN-LN", "CN-BJ")),
        ("Chaoyang", ("朝阳市 (辽宁 Liaoning)", "朝阳区 (北京 Beijing)"), ("CN-LN", "CN-BJ")),
    ],
)
def test_a_name_of_two_cities_is_refused_with_both(name: str, cities: tuple[str, str], codes: tuple[str, str]) -> None:
    assert refusal(name).message() == f"'{name}' is ambiguous: {' or '.join(cities)}"
    assert context(name)["expected"].endswith(f"code: {' or '.join(codes)}")


@pytest.mark.parametrize("name", ["朝阳区", "湖南深圳", "南山区", "北京市朝阳区"])
def test_a_district_or_a_city_of_another_province_is_no_region(name: str) -> None:
    assert refusal(name).message() == f"unknown region '{name}'"


def test_every_city_of_the_table_resolves_to_the_province_of_its_code() -> None:
    by_number = {adcode[:2]: code for code, adcode, *_ in UNITS}
    for line in CITIES.splitlines():
        adcode, name, *_ = line.split("|")
        assert resolve_region(name) == by_number[adcode[:2]] == resolve_region(adcode), name


def test_the_table_has_all_333_units_of_prefecture_level() -> None:
    adcodes = {line.split("|")[0] for line in CITIES.splitlines()}
    current = {adcode for adcode in adcodes if adcode.endswith("00")} - {"133100", *FORMER}
    assert len(current) == 333  # without Xiong'an, which has a code and no such rank


FORMER = {"341400", "371200"}  # Chaohu since 2011, and Laiwu since 2019, belong to other cities


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit[0])
def test_the_numeric_code_of_iso_3166_2_before_2017_is_known(unit: tuple[str, ...]) -> None:
    code, adcode, *_ = unit
    former = {"81": "91", "82": "92"}.get(adcode[:2], adcode[:2])
    assert resolve_region(f"CN-{former}") == code
    assert resolve_region(f"cn-{former}") == code


# Several


@pytest.mark.parametrize(
    "text",
    ["广东,湖南", "广东，湖南", "广东、湖南", "广东;湖南", "广东；湖南", "广东 湖南", "CN-GD , 长沙", "深圳 广州 湖南"],
)
def test_commas_semicolons_and_blanks_separate_regions(text: str) -> None:
    assert resolve_regions(text) == ("CN-GD", "CN-HN")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Inner Mongolia", ("CN-NM",)),
        ("Inner Mongolia Hong Kong", ("CN-NM", "CN-HK")),
        ("Guangdong Hong Kong Hunan", ("CN-GD", "CN-HK", "CN-HN")),
        ("Hong Kong, Guangdong", ("CN-HK", "CN-GD")),
    ],
)
def test_a_name_may_have_a_blank(text: str, codes: tuple[str, ...]) -> None:
    assert resolve_regions(text) == codes


def test_the_one_that_is_wrong_is_named() -> None:
    with pytest.raises(PydanticCustomError, match="unknown region '火星'"):
        resolve_regions("广东、火星、湖南")


@pytest.mark.parametrize("word", ["全国", "中国", "CN", "China", "everywhere", "Nationwide"])
def test_the_whole_country_is_where_the_bank_says(word: str) -> None:
    assert resolve_regions(word, ("CN-GD", "CN-HN")) == ("CN-GD", "CN-HN")
    assert resolve_regions(f"CN-BJ、{word}", ("CN-GD", "CN-HN")) == ("CN-BJ", "CN-GD", "CN-HN")
    with pytest.raises(PydanticCustomError) as refused:
        resolve_regions(word)
    assert "regions.everywhere" in (refused.value.context or {})["expected"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("Shenzhn", "Shenzhen"), ("Henann", "Henan"), ("Guangzhuo", "Guangzhou"), ("Atlantis", ""), ("火星", "")],
)
def test_only_a_near_name_is_offered(name: str, nearest: str) -> None:
    assert nearest_valid(context(name)) == nearest
